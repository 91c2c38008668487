// Live numbers: what the stream says goes into the cells of its table, until it is paused. It ends
// while nobody sees the page: a browser has few connections to one host.
"use strict";
for (const section of document.querySelectorAll("[data-live]")) {
  const state = section.querySelector("[data-live-state]");
  const button = section.querySelector("[data-live-pause]");
  const cells = section.querySelectorAll("[data-count]");
  const words = section.dataset;
  let source = null;
  let again = 0;
  let isPaused = false;

  const show = (message) => {
    const { at, counts } = JSON.parse(message.data);
    for (const cell of cells) {
      const count = counts[cell.dataset.count];
      if (count !== undefined) cell.textContent = count.toLocaleString("en");
    }
    state.textContent = words.running.replace("%", new Date(at * 1000).toISOString().slice(11, 19));
  };
  const stop = () => {
    clearTimeout(again);
    if (source !== null) source.close();
    source = null;
  };
  const start = () => {
    stop();
    if (isPaused || document.hidden) return;
    source = new EventSource("/live");
    source.onmessage = show;
    source.onerror = () => {
      state.textContent = words.lost;
      if (source !== null && source.readyState === EventSource.CLOSED) again = setTimeout(start, 10000);
    };
  };
  button.addEventListener("click", () => {
    isPaused = !isPaused;
    button.textContent = isPaused ? words.goOn : words.pause;
    if (isPaused) state.textContent = words.paused;
    start();
  });
  document.addEventListener("visibilitychange", start);
  section.hidden = false;
  start();
}
