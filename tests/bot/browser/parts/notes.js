/** The honest part of the tests: says and does what the test asks for. */
emit('note', { text: `start ${location.href}` });
onCommand('say', ({ text }) => {
  emit('note', { text });
  return { said: text, active: navigator.userActivation.isActive };
});
onCommand('bytes', ({ bytes }) => toBase64(new Uint8Array(bytes)));
onCommand('fail', () => {
  throw new Error('as asked');
});
onCommand('hang', () => new Promise(() => undefined));
onCommand('wrong', ({ kind, body }) => {
  emit(kind, body);
  emit.flush();
});
onCommand('shout', ({ length, times }) => {
  for (let i = 0; i < times; i += 1) {
    emit('note', { text: 'x'.repeat(length) });
    emit.flush();
  }
});
