// Runs in every page before its own scripts. Takes away the ways of sending that a route handler does not
// see: beacons and keep-alive requests made while a page goes away, shared workers, peer connections.
(() => {
  const gone = ["SharedWorker", "RTCPeerConnection", "webkitRTCPeerConnection", "WebTransport", "fetchLater"];
  for (const name of gone) {
    try { delete globalThis[name]; } catch { /* not configurable: nothing to take away */ }
  }
  if (globalThis.Navigator) Navigator.prototype.sendBeacon = () => true;
  const plainFetch = globalThis.fetch;
  globalThis.fetch = async (input, init) =>
    plainFetch.call(globalThis, new Request(input, { ...init, keepalive: false }));
})();
