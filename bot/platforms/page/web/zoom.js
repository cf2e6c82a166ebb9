/**
 * Zoom in WebRTC mode: every person's track is in a stream whose id begins with a number, and the
 * number without its low ten bits is the person's user id.
 */
{
  const STREAM = /^(\d+)\+.*\+CS\+/;
  const LOW_BITS = 10n;

  /** @param {string} id */
  const ownerOf = (id) => {
    let plain = id;
    try {
      plain = decodeURIComponent(id);
    } catch {
      // Not encoded.
    }
    const match = STREAM.exec(plain);
    return match ? String((BigInt(match[1]) >> LOW_BITS) << LOW_BITS) : null;
  };

  webPlatform.owners = () => {
    const owners = [];
    for (const { track, streamIds } of capturedTracks) {
      if (track.readyState !== 'live') continue;
      const owner = streamIds.map(ownerOf).find((one) => one !== null);
      if (!owner) continue;
      owners.push({
        trackId: captureTrackName(track),
        platformId: owner,
        source: track.kind === 'audio' ? 'microphone' : 'camera',
        attribution: 'track-owner',
        isolation: 'track',
        confidence: 0.95,
      });
    }
    return owners;
  };
}
