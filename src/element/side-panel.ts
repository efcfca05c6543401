/** Opens a dialog along the start of the given area of the page. Escape closes, and the focus returns. */
export function openSidePanel(dialog: HTMLDialogElement, area: DOMRect): void {
  const { style } = dialog;
  style.setProperty('--area-top', `${Math.max(0, area.top)}px`);
  style.setProperty('--area-left', `${Math.max(0, area.left)}px`);
  style.setProperty('--area-right', `${Math.max(0, document.documentElement.clientWidth - area.right)}px`);
  style.setProperty('--area-width', `${area.width}px`);
  style.setProperty('--area-height', `${Math.min(area.bottom, innerHeight) - Math.max(0, area.top)}px`);
  dialog.showModal();
}
