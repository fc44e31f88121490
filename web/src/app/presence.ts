/** `nin explore` ends when its last page has gone: a page says so, and asks for page.json when it is brought back. */

/** `again`: the address of the next goodbye, which comes with every page.json. */
export function keepPresence(goodbye: string | null, again: () => Promise<string | null>): void {
  let address = goodbye;
  if (address === null) return;
  addEventListener("pagehide", () => address !== null && navigator.sendBeacon(address));
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    again().then(
      (next) => (address = next),
      () => (address = null), // the server has ended
    );
  });
}
