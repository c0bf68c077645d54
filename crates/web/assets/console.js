// Keeps what a page shows fresh. Everything works without it, after a reload.
(() => {
  "use strict";

  // Live parts: <div data-live="/live/…"> holds slots; an event named after a
  // slot replaces its content, or is appended where the slot says so.
  const streams = new Map();

  const deliver = (slot, html) => {
    const log = slot.closest("[data-scroll]");
    const following = log && log.scrollTop + log.clientHeight >= log.scrollHeight - 24;
    if (slot.dataset.mode === "append") {
      slot.insertAdjacentHTML("beforeend", html);
    } else if (slot.told !== html) {
      slot.told = html;
      const focused = slot.contains(document.activeElement) ? document.activeElement.id : "";
      slot.innerHTML = html;
      if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    }
    window.htmx?.process(slot);
    if (following) log.scrollTop = log.scrollHeight;
  };

  const listen = (part) => {
    const url = new URL(part.dataset.live, location.href);
    if (part.dataset.last) url.searchParams.set("after", part.dataset.last);
    const source = new EventSource(url);
    streams.set(part, source);
    for (const slot of part.querySelectorAll("[data-slot]")) {
      source.addEventListener(slot.dataset.slot, (event) => {
        if (event.lastEventId) part.dataset.last = event.lastEventId;
        deliver(slot, event.data);
      });
    }
    source.addEventListener("end", () => {
      source.close();
      part.dataset.ended = "yes";
    });
    source.addEventListener("leave", (event) => location.assign(event.data));
  };

  // Opens what is on the page, closes what has left it or is not looked at:
  // a browser keeps few connections to one host.
  const tend = () => {
    for (const [part, source] of streams) {
      if (!part.isConnected || document.hidden) {
        source.close();
        streams.delete(part);
      }
    }
    if (document.hidden) return;
    for (const part of document.querySelectorAll("[data-live]:not([data-ended])")) {
      if (!streams.has(part)) listen(part);
    }
  };

  const ago = (then, now) => {
    const past = then <= now;
    const seconds = Math.abs(now - then) / 1000;
    if (seconds < 60) return past ? "just now" : "in a moment";
    const [amount, unit] =
      seconds < 3600 ? [seconds / 60, "min"] :
      seconds < 86400 ? [seconds / 3600, "h"] : [seconds / 86400, "d"];
    const text = `${Math.floor(amount)} ${unit}`;
    return past ? `${text} ago` : `in ${text}`;
  };

  const refreshTimes = () => {
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const text = ago(Date.parse(time.dateTime), Date.now());
      if (time.textContent !== text) time.textContent = text;
    }
  };

  const reveal = () => {
    for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });

  // The moment in a restore form is in UTC; say what that is on the reader's clock.
  document.addEventListener("input", (event) => {
    if (!event.target.matches?.("[data-utc]")) return;
    const moment = new Date(`${event.target.value}Z`);
    const said = document.getElementById(event.target.dataset.utc);
    said.textContent = isNaN(moment) ? "" : `On your clock: ${moment.toLocaleString()}`;
    const radio = document.getElementById("by-time");
    if (radio) radio.checked = true;
  });

  // A log is read from its end.
  const unroll = () => {
    for (const log of document.querySelectorAll("[data-scroll]:not([data-unrolled])")) {
      log.dataset.unrolled = "yes";
      log.scrollTop = log.scrollHeight;
    }
  };

  // On a phone the navigation scrolls; the present section is in sight.
  const orient = () => {
    const nav = document.querySelector(".nav");
    const here = nav?.querySelector("[aria-current]");
    if (here) nav.scrollLeft = here.offsetLeft - (nav.clientWidth - here.offsetWidth) / 2;
  };

  const settle = () => {
    orient();
    unroll();
    tend();
    reveal();
    refreshTimes();
  };

  // A form sent twice by an impatient click is sent once.
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (button) setTimeout(() => { button.disabled = true; }, 0);
  });

  document.addEventListener("visibilitychange", tend);
  document.addEventListener("htmx:afterSettle", (event) => {
    settle();
    if (event.detail.boosted) document.getElementById("main")?.focus({ preventScroll: true });
  });
  window.addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("button[disabled]")) button.disabled = false;
    settle();
  });
  window.addEventListener("pagehide", () => {
    for (const source of streams.values()) source.close();
    streams.clear();
  });
  setInterval(refreshTimes, 15000);
})();
