/**
 * The messages of Google Meet's own channels: protobuf, whose schema is not published. Only fields
 * that maintained open-source bots have found are read, by their numbers; all others are skipped.
 * What cannot be read throws.
 */

const MEET_MOST_BYTES = 512 * 1024;
const MEET_MOST_INFLATED = 4 * 1024 * 1024;
const MEET_MOST_ITEMS = 2_000;
const MEET_MOST_FIELDS = 20_000;

const MeetDecompression = window.DecompressionStream;

/** @typedef {{id: string, name: string, status: number, self: boolean, parent: string, host: boolean}} MeetPerson */
/** @typedef {{device: string, kind: number, stream: string, disabled: boolean}} MeetOutput */
/** @typedef {{device: string, id: string, version: bigint, final: boolean, text: string}} MeetCaption */
/** @typedef {Map<number, (bigint | Uint8Array)[]>} MeetFields */

/** One varint. @param {Uint8Array} bytes @param {number} at @returns {[bigint, number]} value, and where the next byte is */
function meetVarint(bytes, at) {
  let value = 0n;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    if (at >= bytes.length) break;
    const byte = bytes[at++];
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return [BigInt.asUintN(64, value), at];
  }
  throw new RangeError('a number that does not end');
}

/** The fields of one message: numbers, and bytes of texts and of messages. @param {Uint8Array} bytes @returns {MeetFields} */
function meetFields(bytes) {
  /** @type {MeetFields} */
  const fields = new Map();
  let count = 0;
  let at = 0;
  /** @param {number} size */
  const take = (size) => {
    if (size > bytes.length - at) throw new RangeError('a field that is longer than its message');
    at += size;
    return bytes.subarray(at - size, at);
  };
  while (at < bytes.length) {
    if (++count > MEET_MOST_FIELDS) throw new RangeError('more fields than a message has');
    let tag, size;
    [tag, at] = meetVarint(bytes, at);
    /** @type {bigint | Uint8Array} */
    let value;
    switch (Number(tag & 7n)) {
      case 0:
        [value, at] = meetVarint(bytes, at);
        break;
      case 1:
        value = take(8);
        break;
      case 2:
        [size, at] = meetVarint(bytes, at);
        value = take(Number(size));
        break;
      case 5:
        value = take(4);
        break;
      default:
        throw new RangeError('a field of a kind that does not exist');
    }
    const number = Number(tag >> 3n);
    const known = fields.get(number);
    if (known) known.push(value);
    else fields.set(number, [value]);
  }
  return fields;
}

/** All messages at the end of a path of field numbers. @param {Uint8Array} bytes @param {number[]} path */
function meetAt(bytes, ...path) {
  let found = [bytes];
  for (const number of path) {
    found = found
      .flatMap((one) => meetFields(one).get(number) ?? [])
      .filter((value) => value instanceof Uint8Array)
      .slice(0, MEET_MOST_ITEMS);
  }
  return found;
}

/** @param {MeetFields} fields @param {number} number @param {number} [most] characters */
function meetText(fields, number, most = 300) {
  const value = fields.get(number)?.at(-1);
  return value instanceof Uint8Array ? new TextDecoder().decode(value).slice(0, most) : '';
}

/** @param {MeetFields} fields @param {number} number */
function meetNumber(fields, number) {
  const value = fields.get(number)?.at(-1);
  return typeof value === 'bigint' ? value : 0n;
}

/** @param {Uint8Array} bytes @returns {MeetPerson} */
function meetPerson(bytes) {
  const fields = meetFields(bytes);
  return {
    id: meetText(fields, 1),
    name: meetText(fields, 2, 1000) || meetText(fields, 29, 1000),
    status: Number(meetNumber(fields, 4)),
    self: meetText(fields, 7) !== '',
    parent: meetText(fields, 21),
    host: meetNumber(fields, 34) !== 0n,
  };
}

/** @param {Uint8Array} bytes @returns {MeetOutput} */
function meetOutput(bytes) {
  const fields = meetFields(bytes);
  return {
    device: meetText(fields, 6),
    kind: Number(meetNumber(fields, 2)),
    stream: meetText(fields, 4),
    disabled: meetAt(bytes, 10).some((status) => meetNumber(meetFields(status), 1) !== 0n),
  };
}

/** A message of the channel `collections`. @param {Uint8Array} bytes */
function meetCollections(bytes) {
  const changes = meetAt(bytes, 1, 2);
  return {
    people: changes.flatMap((one) => meetAt(one, 13, 1, 2)).map(meetPerson),
    outputs: changes.flatMap((one) => meetAt(one, 3, 2)).map(meetOutput),
  };
}

/** The answer of `SyncMeetingSpaceCollections`: everybody who is there. @param {Uint8Array} bytes */
function meetEverybody(bytes) {
  return meetAt(bytes, 2, 2, 2).map(meetPerson);
}

/** Messages of a channel of captions. @param {Uint8Array} bytes @returns {MeetCaption[]} */
function meetCaptions(bytes) {
  return meetAt(bytes, 1).map((one) => {
    const fields = meetFields(one);
    return {
      device: meetText(fields, 1),
      id: String(meetNumber(fields, 2)),
      version: meetNumber(fields, 3),
      final: meetNumber(fields, 4) !== 0n,
      text: meetText(fields, 6, 5_000),
    };
  });
}

/** What a channel compressed; what it did not stays as it is. @param {Uint8Array<ArrayBuffer>} bytes */
async function meetInflate(bytes) {
  // The first byte of zlib with its usual window; a message of ours never begins with it.
  if (bytes[0] !== 0x78) return bytes;
  const parts = [];
  let size = 0;
  const stream = new Blob([bytes]).stream().pipeThrough(new MeetDecompression('deflate'));
  for await (const part of /** @type {AsyncIterable<Uint8Array>} */ (/** @type {unknown} */ (stream))) {
    size += part.length;
    if (size > MEET_MOST_INFLATED) throw new RangeError('more than a message holds');
    parts.push(part);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
