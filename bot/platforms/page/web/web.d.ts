/** The anchors of the platform as CONFIG.web; see bot/platforms/web/anchors.py. */
interface WebSigns {
  text: readonly string[];
  css: readonly string[];
  title: readonly string[];
  url: readonly string[];
  signal: readonly string[];
  within: readonly string[];
  unless: readonly string[];
  unless_text: readonly string[];
  press: readonly string[];
}

interface WebRule extends WebSigns {
  state: string;
}

interface WebField {
  css: string;
  attr: string;
  matches: string;
  strip: string;
}

interface WebRows {
  rows: string;
  fields: Partial<Record<string, WebField>>;
}

interface WebMix {
  stream: string;
  attribution: string;
  confidence: number;
  lag_ms: number;
  steady_ms: number;
  speaking: WebRows;
}

type WebPurpose = string;

interface WebConfig {
  ignore: readonly string[];
  rules: readonly WebRule[];
  notices: readonly WebSigns[];
  anchors: Record<WebPurpose, readonly string[]>;
  roster: WebRows | null;
  chat: WebRows | null;
  captions: WebRows | null;
  mix: WebMix | null;
  screen: WebRows | null;
}

/** What a platform's own part does better than its page's documents; null: by the anchors. */
interface WebPlatform {
  /** What the client says about itself, for the `signal` of rules. */
  signals(): string[];
  roster(): Json[] | null;
  /** How long before the roster said so somebody may have left, ms; 0: it says so at once. */
  leftLateMs(): number;
  owners(): Json[];
  /** Whose screen is shown, where the page does not say it next to the screen; '' for nobody's. */
  presenter: (() => string) | null;
  /** Whose the contributing sources of received audio are. */
  voices(): Json[];
  chat(): Json[] | null;
  captions(): Json[] | null;
  say: ((text: string) => boolean | Promise<boolean>) | null;
  /** Switch captions on; false: try the anchors. */
  showCaptions: (() => boolean) | null;
  rename: ((name: string) => boolean) | null;
  pin: ((platformId: string) => boolean) | null;
  /** What else there is to tell: sources, mixes, who speaks (bot/platforms/observations.py). */
  tell: ((tell: (key: string, kind: string, body: Json) => boolean) => void) | null;
  /** Have the server send no video; false: try the anchors. */
  stopIncomingVideo: (() => boolean) | null;
  leave: (() => boolean | Promise<boolean>) | null;
  /** Shape of the client's objects, for those who have to find out why. */
  shape(): string;
}
