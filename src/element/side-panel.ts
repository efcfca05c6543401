/** Opens a dialog along the start of an element, and keeps it there. Escape closes, and the focus returns. */
export function openSidePanel(dialog: HTMLDialogElement, host: Element): void {
  const place = () => placeBeside(dialog, host.getBoundingClientRect());
  const watch = new ResizeObserver(place);
  watch.observe(host);
  addEventListener('resize', place);
  dialog.addEventListener(
    'close',
    () => {
      watch.disconnect();
      removeEventListener('resize', place);
    },
    { once: true },
  );
  place();
  dialog.showModal();
}

function placeBeside({ style }: HTMLDialogElement, area: DOMRect): void {
  style.setProperty('--area-top', `${Math.max(0, area.top)}px`);
  style.setProperty('--area-left', `${Math.max(0, area.left)}px`);
  style.setProperty('--area-right', `${Math.max(0, document.documentElement.clientWidth - area.right)}px`);
  style.setProperty('--area-width', `${area.width}px`);
  style.setProperty('--area-height', `${Math.min(area.bottom, innerHeight) - Math.max(0, area.top)}px`);
}
