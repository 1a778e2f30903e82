// The frames of some subjects: over one WebSocket, or by asking again and again where none can connect.

import { giveUpSilent } from "./silence.js";

const FIRST_RETRY = 300, LONGEST_RETRY = 5000, POLL = 400, SOCKET_AGAIN = 15000; // ms
const GIVE_UP = 2; // sockets that brought nothing before polling begins
const FULL = 4503, FULL_AGAIN = 30000; // the server lets in no more viewers, and says so (ui/guard.py)

/** Keeps handing frames (ArrayBuffers) to `onFrame` and words on the connection to `onState`.
 *  subjects  ids of runs, groups of them and what is made of them (ui/subjects.py)
 *  seq       subject -> number of the newest frame it has */
export class Feed {
  constructor({ subjects, seq, onFrame, onState }) {
    Object.assign(this, { subjects, seq, onFrame, onState });
    this.wait = FIRST_RETRY;
    this.failures = 0; // sockets in a row that closed before they brought anything
    this.timers = new Set();
    this.connect();
  }

  stop() {
    this.stopped = true;
    for (const timer of this.timers) clearTimeout(timer);
    if (this.socket) this.socket.onclose = this.socket.onmessage = null;
    this.socket?.close();
  }

  /** Ask for everything of a subject once more, after a gap. */
  again(subject) {
    this.lost = true;
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(subject);
  }

  url(name, query = {}) {
    const asked = new URLSearchParams({ runs: this.subjects.join(","), ...query });
    return new URL(`${name}?${asked}`, import.meta.url);
  }

  later(action, delay) {
    const timer = setTimeout(() => { this.timers.delete(timer); if (!this.stopped) action(); }, delay);
    this.timers.add(timer);
  }

  connect() {
    const url = this.url("feed");
    url.protocol = url.protocol.replace("http", "ws");
    const socket = (this.socket = new WebSocket(url));
    let heard = false; // an open socket proves nothing: a proxy may let the handshake through alone
    socket.binaryType = "arraybuffer";
    giveUpSilent(socket);
    socket.onmessage = (message) => {
      if (!heard) {
        heard = this.everHeard = true;
        this.failures = 0;
        this.wait = FIRST_RETRY;
        this.polling = false;
        this.onState("socket", "");
      }
      for (const frame of split(message.data)) this.onFrame(frame);
    };
    socket.onclose = ({ code, reason }) => {
      if (code === FULL) {
        this.onState("lost", reason);
        this.later(() => this.connect(), FULL_AGAIN);
        return;
      }
      if (!heard) this.failures += 1;
      if (!this.everHeard && this.failures >= GIVE_UP) {
        if (!this.polling) { this.polling = true; this.poll(); }
        this.later(() => this.polling && this.connect(), SOCKET_AGAIN);
        return;
      }
      this.onState("lost", "The connection to the server is lost; trying again …");
      this.later(() => this.connect(), this.wait);
      this.wait = Math.min(2 * this.wait, LONGEST_RETRY);
    };
  }

  async poll() {
    if (!this.polling || this.stopped) return;
    try {
      const after = this.subjects.map((subject) => (this.lost ? 0 : this.seq(subject))).join(",");
      const answer = await fetch(this.url("frames", { after }), { cache: "no-store" });
      if (!answer.ok || !isBytes(answer)) throw new Error(`HTTP ${answer.status}`);
      const body = await answer.arrayBuffer();
      if (!this.polling || this.stopped) return;
      this.lost = false;
      this.onState("polling", "No WebSocket could connect (a proxy?); asking for news instead.");
      for (const frame of split(body)) this.onFrame(frame);
    } catch {
      this.lost = true; // a restarted server counts from 1 again
      this.onState("lost", "The server does not answer; trying again …");
    }
    this.later(() => this.poll(), POLL);
  }
}

function isBytes(answer) {
  return (answer.headers.get("content-type") ?? "").startsWith("application/octet-stream");
}

function split(body) {
  const frames = [];
  const view = new DataView(body);
  for (let place = 0; place < body.byteLength;) {
    const length = view.getUint32(place, true);
    frames.push(body.slice(place + 4, place + 4 + length));
    place += 4 + length;
  }
  return frames;
}
