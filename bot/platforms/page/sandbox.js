/** The sandbox room as its page shows it; the contract is in the sandbox's documentation. */
if (window === window.top) {
  const ATTRIBUTES = [
    'hidden',
    'data-reason',
    'data-display-name',
    'data-host',
    'data-muted',
    'data-final',
  ];
  const tell = teller(5000);

  /** @param {string} id @returns {HTMLElement | null} */
  const byTestId = (id) => document.querySelector(`[data-testid="${id}"]`);

  /** @param {string} id @returns {HTMLElement | null} */
  const visible = (id) => {
    const element = byTestId(id);
    return element && !element.closest('[hidden]') ? element : null;
  };

  /** @param {HTMLElement} element */
  const wordsOf = (element) => element.innerText.trim().replace(/\s+/g, ' ').slice(0, 500);

  /** Terminal states come first: a page may keep old texts. */
  const look = () => {
    const ended = visible('ended');
    if (ended) {
      return { view: 'over', reason: ended.dataset.reason ?? '', evidence: wordsOf(ended) };
    }
    if (visible('room')) return { view: 'in_room', reason: '', evidence: 'room' };
    const lobby = visible('lobby');
    if (lobby) return { view: 'lobby', reason: '', evidence: wordsOf(lobby) };
    const prejoin = visible('prejoin');
    if (!prejoin) return { view: 'loading', reason: '', evidence: '' };
    const join = /** @type {HTMLButtonElement | null} */ (byTestId('join'));
    return { view: join?.disabled ? 'joining' : 'prejoin', reason: '', evidence: 'prejoin' };
  };

  /** @returns {NodeListOf<HTMLElement>} */
  const tiles = () => document.querySelectorAll('[data-testid="tile"]');

  const observeRoster = () => {
    /** @type {Json[]} */
    const participants = [];
    for (const { dataset } of tiles()) {
      if (dataset.kind !== 'camera') continue;
      participants.push({
        platformId: dataset.participantId ?? '',
        displayName: dataset.displayName ?? '',
        isSelf: dataset.self === 'true',
        isHost: dataset.host === 'true',
        muted: dataset.muted === 'true',
      });
    }
    tell('roster', 'roster', { participants });
  };

  /** A tile's media elements hold exactly the tracks of its participant. */
  const observeOwners = () => {
    for (const tile of tiles()) {
      if (tile.dataset.self === 'true') continue;
      for (const media of tile.querySelectorAll('audio, video')) {
        const stream = /** @type {HTMLMediaElement} */ (media).srcObject;
        if (!(stream instanceof MediaStream)) continue;
        for (const track of stream.getTracks()) {
          const camera = track.kind === 'audio' ? 'microphone' : 'camera';
          tell(`owner ${captureTrackName(track)}`, 'owner', {
            trackId: captureTrackName(track),
            platformId: tile.dataset.participantId ?? '',
            source: tile.dataset.kind === 'screen' ? 'screen' : camera,
            attribution: 'track-owner',
            isolation: 'track',
            confidence: 1,
          });
        }
      }
    }
  };

  const observeChat = () => {
    const items = document.querySelectorAll('[data-testid="chat"] li[data-message-id]');
    for (const item of items) {
      const { dataset } = /** @type {HTMLElement} */ (item);
      tell(`chat ${dataset.messageId}`, 'chat', {
        messageId: dataset.messageId ?? '',
        platformId: dataset.participantId ?? '',
        displayName: dataset.displayName ?? '',
        text: item.textContent ?? '',
        atMs: Number(dataset.at) || null,
      });
    }
  };

  const observeCaptions = () => {
    const lines = document.querySelectorAll('[data-testid="captions"] p[data-caption-id]');
    for (const line of lines) {
      const { dataset } = /** @type {HTMLElement} */ (line);
      tell(`caption ${dataset.captionId}`, 'caption', {
        captionId: dataset.captionId ?? '',
        platformId: dataset.participantId ?? '',
        displayName: dataset.displayName ?? '',
        text: line.textContent ?? '',
        final: dataset.final === 'true',
      });
    }
  };

  const PRESSED_MS = 10_000;

  /** @param {HTMLElement} button */
  const isPressed = (button) => button.getAttribute('aria-pressed') === 'true';

  /**
   * Bring a toggle into the wanted state. Clicked by script and not by a mouse: that needs no
   * painted frame, and nothing that lies above the button is in the way.
   * @param {Element | null} button @param {boolean} on
   */
  const press = (button, on) => {
    if (!(button instanceof HTMLElement)) return false;
    if (isPressed(button) !== on) button.click();
    return true;
  };

  /** Until it shows that it is on: the page may have to ask for a device first. @param {HTMLElement} button */
  const untilPressed = (button) =>
    new Promise((resolve, reject) => {
      const settle = () => {
        if (!isPressed(button)) return;
        observer.disconnect();
        clearTimeout(timer);
        resolve(null);
      };
      const observer = new MutationObserver(settle);
      const timer = setTimeout(() => {
        observer.disconnect();
        reject(new Error('the page did not take the device'));
      }, PRESSED_MS);
      observer.observe(button, { attributeFilter: ['aria-pressed'] });
      settle();
    });

  onCommand('room.press', async ({ id, on }) => {
    const button = byTestId(id);
    if (!press(button, on)) throw new Error(`the page has no button ${id}`);
    if (on) await untilPressed(/** @type {HTMLElement} */ (button));
  });

  /** False: nobody like that is here. */
  onCommand('room.pin', ({ platformId }) => {
    const tile = [...tiles()].find(({ dataset }) => dataset.participantId === platformId);
    return press(tile?.querySelector('[data-testid="pin"]') ?? null, true);
  });

  onCommand('room.say', ({ text }) => {
    const input = byTestId('chat-input');
    if (!(input instanceof HTMLInputElement)) throw new Error('the page has no chat');
    input.value = text;
    input.dispatchEvent(new Event('input', { bubbles: true }));
    byTestId('chat-send')?.click();
  });

  /** False: the page shows no room. */
  onCommand('room.leave', () => {
    const button = visible('leave');
    button?.click();
    return button !== null;
  });

  onCommand('room.look', look);
  observePage(() => {
    const sight = look();
    const changed = tell('view', 'view', { view: sight.view });
    if (sight.view === 'in_room') {
      observeRoster();
      observeOwners();
      observeChat();
      observeCaptions();
    }
    // Being let in, removed or told that it is over should not wait for the next batch.
    if (changed) emit.flush();
  }, ATTRIBUTES);
}
