/** Nobody watches this tab: what its videos show is not painted (design.md D6). */

function captureUnpaint() {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync('video { visibility: hidden !important; content-visibility: hidden !important; }');
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}

captureUnpaint();
