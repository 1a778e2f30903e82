// A connection that died without a word: a laptop that slept, another network, a server that was killed.

const SILENT = 15000; // ms; the server says something at least every BEAT_S (ui/pace.py)

/** Take a socket for closed once nothing has come for so long, and call its onclose. */
export function giveUpSilent(socket) {
  let last = performance.now();
  const looking = setInterval(() => {
    if (performance.now() - last <= SILENT) return;
    clearInterval(looking);
    const { onclose } = socket;
    socket.onclose = socket.onmessage = null;
    socket.close(); // by itself it would wait for an answer that never comes
    onclose?.({ code: 1006, reason: "" });
  }, SILENT / 10);
  socket.addEventListener("message", () => (last = performance.now()));
  socket.addEventListener("close", () => clearInterval(looking));
}
