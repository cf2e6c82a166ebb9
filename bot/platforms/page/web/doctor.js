/** All that is recognised in a page now, for `meetbot-server doctor platform`. */
{
  const MOST = 100;

  /** @param {() => number} count @returns {number | null} null: the page's objects are not as known */
  const counted = (count) => {
    try {
      return count();
    } catch {
      return null;
    }
  };

  onCommand('doctor.report', () => {
    const reading = new WebReading();
    const rules = WEB.rules
      .map((signs, rule) => ({ rule, state: signs.state, sign: webFits(signs, reading).slice(0, 300) }))
      .filter(({ sign }) => sign !== '');
    const anchors = Object.keys(WEB.anchors).map((purpose) => [purpose, webAnchor(purpose)?.anchor ?? '']);
    return {
      title: document.title.slice(0, 300),
      language: `${document.documentElement.lang || '?'} of ${navigator.language}`,
      rules,
      anchors: Object.fromEntries(anchors),
      signals: reading.signals.slice(0, MOST).map((signal) => signal.slice(0, 200)),
      shape: webPlatform.shape().slice(0, 1_000),
      words: reading.in([]).slice(0, 4_000),
      people: counted(() => (webPlatform.roster() ?? webReadRoster() ?? []).length),
      owners: counted(() => webPlatform.owners().length),
      connections: [...captureConnections].slice(0, MOST).map((pc) => pc.connectionState),
      tracks: capturedTracks.slice(0, MOST).map(({ track, streamIds, receiver, mode }) => ({
        kind: track.kind,
        state: track.readyState,
        streams: streamIds.map((id) => id.slice(0, 200)),
        taken: mode,
        sources: receiver.getContributingSources().length,
      })),
    };
  });
}
