"use strict";
// How times and sizes are written.
(() => {
  const pad = (number) => String(number).padStart(2, "0");

  /** Milliseconds as a place in the recording: 1:07.4, or 1:02:07. */
  const clock = (ms) => {
    const tenths = Math.max(0, Math.floor(ms / 100));
    const seconds = Math.floor(tenths / 10);
    const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
    return h ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}.${tenths % 10}`;
  };

  /** Milliseconds as a length: 0.82 s, 12 s, 3 min 20 s, 2 h 5 min. */
  const length = (ms) => {
    if (Math.abs(ms) < 10_000) return `${(ms / 1000).toFixed(2)} s`;
    const seconds = Math.round(ms / 1000);
    if (seconds < 60) return `${seconds} s`;
    const minutes = Math.floor(seconds / 60);
    if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
    return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  };

  /** A moment in the reader's own time zone. */
  const moment = (iso) =>
    iso ? new Date(iso).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" }) : "";

  const bytes = (count) => (count < 1000 ? `${count} B` : `${(count / 1000).toFixed(1)} kB`);

  const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

  /** JSON with line breaks; any other text as it is. */
  const pretty = (text) => {
    try {
      return JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      return text;
    }
  };

  window.roark = { format: { clock, length, moment, bytes, count, pretty } };
})();
