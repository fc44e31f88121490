/** `nin explore` ends when its last page has gone: the page says so, and that it is back where a browser kept it. */

export function keepPresence(goodbye: string | null): void {
  if (goodbye === null) return;
  addEventListener("pagehide", () => navigator.sendBeacon(goodbye));
  addEventListener("pageshow", (event) => {
    if (event.persisted) void fetch(location.pathname, { cache: "no-store" }).catch(() => undefined);
  });
}
