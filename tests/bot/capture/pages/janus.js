/** What a driver would say of Janus' video-room demo: who is there, and whose each track is. */

setInterval(() => {
  const participants = [];
  for (const label of document.querySelectorAll('[id^=remote]:not([id^=remotevideo])')) {
    const number = label.id.match(/^remote([0-9]+)$/)?.[1];
    const displayName = label.textContent;
    if (!number || !displayName) continue;
    participants.push({ platformId: displayName, displayName });
    for (const element of document.querySelectorAll(`audio[id^=remotevideo${number}-]`)) {
      for (const track of element.srcObject?.getAudioTracks() ?? []) {
        emit('owner', {
          trackId: captureTrackName(track),
          platformId: displayName,
          source: 'microphone',
          attribution: 'signalling',
          isolation: 'track',
          confidence: 1,
        });
      }
    }
  }
  emit('roster', { participants });
}, 200);
