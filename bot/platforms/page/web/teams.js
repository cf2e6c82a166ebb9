/**
 * Microsoft Teams: one mixed track for all. Where the client's call object is reachable, it says whose
 * each source of the mix is, exactly; otherwise the outline around whoever speaks has to do.
 */
{
  const page = /** @type {any} */ (window);
  const SOURCE_CONFIDENCE = 0.9;

  /** Newer and older places of the call. @returns {any} */
  const call = () => {
    try {
      const calling = page.msteamscalling?.deref?.() ?? page.msteamscalling;
      return calling?.activeCall ?? page.callingDebug?.observableCall ?? null;
    } catch {
      return null;
    }
  };

  /** @returns {any[]} */
  const members = () => {
    const people = call()?.participants;
    return Array.isArray(people) ? people : [...(people?.values?.() ?? [])];
  };

  webPlatform.voices = () => {
    const people = members().filter((one) => typeof one.hasAudioSource === 'function');
    if (people.length === 0) return [];
    const voices = [];
    for (const { track, receiver } of capturedTracks) {
      if (track.kind !== 'audio' || track.readyState !== 'live') continue;
      for (const { source } of receiver.getContributingSources()) {
        const owner = people.find((one) => one.hasAudioSource(source));
        if (!owner) continue;
        voices.push({
          csrc: source,
          platformId: String(owner.id),
          isolation: 'mixed-gated',
          confidence: SOURCE_CONFIDENCE,
        });
      }
    }
    return voices;
  };

  /** @param {any} stream */
  const isScreen = (stream) => stream?.type === 'applicationsharing-video' && stream.active;

  webPlatform.presenter = () => {
    const people = members().filter(({ streams }) => Array.isArray(streams) && streams.some(isScreen));
    return people.length === 1 ? String(people[0].id) : '';
  };

  webPlatform.shape = () => {
    const current = call();
    return current ? `call has ${Object.keys(current).join(' ')}` : 'no call object';
  };
}
