/**
 * Keeps WebRTC of untrusted pages away from addresses that are not public. Runs in every frame,
 * before page code. UDP does not pass the egress guard, so this is where it is checked: names in
 * ICE servers do not resolve in our browser, and literal addresses are looked at here.
 *
 * Page code may patch every prototype later, so only primitive string operations, loops and
 * functions taken now are used after set-up. What was checked is rebuilt and passed on, never the
 * page's own object.
 */
{
  const { apply, construct } = Reflect;
  const toText = String;
  const decimal = Number;
  const isArray = Array.isArray;

  /** @param {string} host */
  const isDigitsOrDots = (host) => {
    for (let i = 0; i < host.length; i += 1) {
      const c = /** @type {string} */ (host[i]);
      if (!((c >= '0' && c <= '9') || c === '.')) return false;
    }
    return host.length > 0;
  };

  /** @param {string} host */
  const isPublicIPv4 = (host) => {
    let octet = '';
    let count = 0;
    let a = 0;
    let b = 0;
    let c = 0;
    for (let i = 0; i <= host.length; i += 1) {
      const char = host[i];
      if (char !== undefined && char !== '.') {
        octet += char;
        continue;
      }
      const value = decimal(octet);
      if (octet === '' || octet.length > 3 || !(value <= 255)) return false;
      if (octet.length > 1 && octet[0] === '0') return false;
      if (count === 0) a = value;
      if (count === 1) b = value;
      if (count === 2) c = value;
      count += 1;
      octet = '';
    }
    if (count !== 4 || a === 0 || a === 10 || a === 127 || a >= 224) return false;
    if (a === 100 && b >= 64 && b <= 127) return false;
    if (a === 169 && b === 254) return false;
    if (a === 172 && b >= 16 && b <= 31) return false;
    if (a === 192 && (b === 168 || (b === 0 && (c === 0 || c === 2)))) return false;
    if (a === 192 && b === 88 && c === 99) return false;
    if (a === 198 && (b === 18 || b === 19 || (b === 51 && c === 100))) return false;
    return !(a === 203 && b === 0 && c === 113);
  };

  /** Global unicast without tunnels and documentation; the rest of the text is the parser's.
   * @param {string} host */
  const isPublicIPv6 = (host) => {
    let first = '';
    let second = '';
    let colons = 0;
    for (let i = 0; i < host.length && colons < 2; i += 1) {
      const char = /** @type {string} */ (host[i]);
      if (char === '%' || char === '.') return false;
      if (char === ':') colons += 1;
      else if (colons === 0) first += char;
      else second += char;
    }
    const a = decimal('0x' + first);
    const b = second === '' ? 0 : decimal('0x' + second);
    if (!(a >= 0x2000 && a < 0x3fff) || !(b >= 0) || a === 0x2002) return false;
    return !(a === 0x2001 && (b < 0x200 || b === 0xdb8));
  };

  /** @param {string} host */
  const isPublicLiteral = (host) => {
    for (let i = 0; i < host.length; i += 1) if (host[i] === ':') return isPublicIPv6(host);
    return isPublicIPv4(host);
  };

  /**
   * One candidate line with single blanks, or '' when its address must not be contacted.
   * Fields: foundation component transport priority address port typ …
   * @param {string} line
   */
  const checkedCandidate = (line) => {
    let result = '';
    let field = '';
    let index = 0;
    for (let i = 0; i <= line.length; i += 1) {
      const char = line[i];
      if (char === '\r' || char === '\n') return '';
      if (char !== undefined && char !== ' ' && char !== '\t') {
        field += char;
        continue;
      }
      if (field === '') continue;
      if (index === 4 && !isPublicLiteral(field)) return '';
      result += index === 0 ? field : ' ' + field;
      index += 1;
      field = '';
    }
    return index > 4 ? result : '';
  };

  /** @param {string} text @param {string} start */
  const startsWith = (text, start) => {
    for (let i = 0; i < start.length; i += 1) if (text[i] !== start[i]) return false;
    return true;
  };

  /** Session description text without candidates that must not be contacted.
   * @param {string} sdp */
  const checkedSdp = (sdp) => {
    let result = '';
    let line = '';
    for (let i = 0; i <= sdp.length; i += 1) {
      const char = sdp[i];
      if (char !== undefined && char !== '\n' && char !== '\r') {
        line += char;
        continue;
      }
      const kept = startsWith(line, 'a=candidate') ? checkedCandidate(line) : line;
      if (kept !== '') result += kept + '\r\n';
      line = '';
    }
    return result;
  };

  /** @param {string} url such as turn:host:port?transport=udp */
  const isAllowedServer = (url) => {
    let start = 0;
    while (start < url.length && url[start] !== ':') start += 1;
    let host = '';
    let bracketed = false;
    for (let i = start + 1; i < url.length; i += 1) {
      const char = /** @type {string} */ (url[i]);
      if (char === '[') bracketed = true;
      else if (char === ']' || char === '?' || (char === ':' && !bracketed)) break;
      else host += char;
    }
    return bracketed || isDigitsOrDots(host) ? isPublicLiteral(host) : host !== 'localhost';
  };

  /** @param {any} configuration */
  const checkedConfiguration = (configuration) => {
    if (configuration === null || typeof configuration !== 'object') return configuration;
    const copy = { __proto__: null, ...configuration };
    const given = copy.iceServers;
    /** @type {any[]} */
    const servers = [];
    let count = 0;
    if (given !== undefined && given !== null) {
      for (const one of given) {
        const server = { __proto__: null, ...one };
        const urls = isArray(server.urls) ? [...server.urls] : [server.urls ?? server.url];
        for (let i = 0; i < urls.length; i += 1) {
          const url = toText(urls[i]);
          if (!isAllowedServer(url)) continue;
          define(servers, count, { ...server, urls: url });
          count += 1;
        }
      }
      copy.iceServers = servers;
    }
    return copy;
  };

  const { defineProperty } = Object;
  /** @param {any[]} list @param {number} index @param {any} value */
  const define = (list, index, value) =>
    defineProperty(list, index, { value, enumerable: true, configurable: true, writable: true });

  const Native = window.RTCPeerConnection;
  if (Native && !TRUSTED_ORIGINS.includes(window.origin)) {
    const proto = Native.prototype;
    const { addIceCandidate, setRemoteDescription, setConfiguration } = proto;
    const done = Promise.resolve.bind(Promise);

    /** @param {string} name @param {(this: RTCPeerConnection, ...args: any[]) => any} value */
    const replace = (name, value) =>
      defineProperty(proto, name, { value, writable: true, enumerable: true, configurable: true });

    replace('addIceCandidate', function (given) {
      if (!given) return apply(addIceCandidate, this, []);
      const line = toText(given.candidate ?? '');
      const candidate = line === '' ? '' : checkedCandidate(line);
      if (line !== '' && candidate === '') return done();
      const { sdpMid, sdpMLineIndex, usernameFragment } = given;
      return apply(addIceCandidate, this, [
        { __proto__: null, candidate, sdpMid, sdpMLineIndex, usernameFragment },
      ]);
    });
    replace('setRemoteDescription', function (given) {
      const type = given?.type;
      const sdp = checkedSdp(toText(given?.sdp ?? ''));
      return apply(setRemoteDescription, this, [{ __proto__: null, type, sdp }]);
    });
    replace('setConfiguration', function (given) {
      return apply(setConfiguration, this, [checkedConfiguration(given)]);
    });
    const Guarded = new Proxy(Native, {
      construct: (target, args, newTarget) =>
        construct(target, [checkedConfiguration(args[0])], newTarget),
    });
    replace('constructor', /** @type {any} */ (Guarded));
    for (const name of ['RTCPeerConnection', 'webkitRTCPeerConnection']) {
      if (!(name in window)) continue;
      defineProperty(window, name, { value: Guarded, writable: true, configurable: true });
    }
  }
}
