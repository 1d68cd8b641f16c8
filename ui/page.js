/* What the page does by itself: buttons that send an action, keys, the theme, and what must survive a redraw.
   A button's classes say what it does: do-<bus>-<action>, id-<id>, n-<number>, to-<number>. Each bus is a hidden box and a hidden
   button of the page (app.py). The content security policy forbids eval, so nothing here is made from strings. */
(() => {
  "use strict";

  const find = (selector) => document.querySelector(selector);
  const narrow = () => window.innerWidth < 768;

  // Actions

  // How often this tab has turned to another conversation. Every click carries it, so that the app knows which page it was
  // made on, in whatever order the clicks arrive (ui/places.py).
  const turning = new Set(["new", "hide", "open", "fork", "sample", "delete", "undo"]);
  let turn = 0;

  function fill(bus, text) {
    const box = find(`#bus-${bus} textarea, #bus-${bus} input`);
    if (!box) return false;
    box.value = text;
    box.dispatchEvent(new Event("input", { bubbles: true }));
    return true;
  }

  function send(bus, message) {
    if (bus === "chat" && turning.has(message.action)) {
      fill("turn", String(++turn));
      if (message.action !== "delete") goTo("Chat"); // there it is to be seen
    }
    if (fill(bus, JSON.stringify(message))) find(`#bus-${bus}-go`)?.click();
  }

  // Nobody wants to ask or to delete twice: the second click of a double click does nothing here
  const once = new Set(["new", "hide", "sample", "retry", "fork", "delete", "pull"]);

  // What the buttons of a message may do. Models write messages, and they may have read anything: whatever got past the
  // escaping (ui/answer_text.py) can do nothing here that cannot be undone.
  const inMessages = new Set([
    "chat-earlier", "chat-later", "chat-edit", "chat-retry", "chat-fork", "chat-version", "page-copy", "passage-open", "trace-show",
  ]);

  function parse(button) {
    const message = {};
    for (const name of button.classList) {
      if (name.startsWith("do-")) [, message.bus, message.action] = name.match(/^do-([a-z]+)-([a-z]+)$/) || [];
      else if (name.startsWith("id-")) message.id = name.slice(3);
      else if (/^n-\d+$/.test(name)) message.number = Number(name.slice(2));
      else if (/^to-\d+$/.test(name)) message.to = Number(name.slice(3));
    }
    return message.bus ? message : null;
  }

  const here = {
    async copy({ id }, button) {
      const reply = await fetch(`/page/text/${encodeURIComponent(id)}`);
      if (!reply.ok) return;
      await copyText(await reply.text());
      const label = button.textContent;
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = label; }, 1500);
    },
    rename({ id }, button) {
      const entry = button.closest("li");
      const title = entry && entry.querySelector(".title");
      if (!title) return;
      entry.querySelector("details.menu").open = false;
      const field = document.createElement("input");
      field.className = "rename";
      field.setAttribute("aria-label", "New title");
      field.value = title.textContent;
      let done = false;
      const end = (save) => {
        if (done) return;
        done = true;
        field.remove();
        entry.querySelector(".entry").hidden = false;
        if (save && field.value.trim()) send("chat", { action: "rename", id, value: field.value.trim() });
      };
      field.addEventListener("keydown", (event) => {
        event.stopPropagation();
        if (event.key === "Enter") end(true);
        if (event.key === "Escape") end(false);
      });
      field.addEventListener("blur", () => end(true));
      entry.querySelector(".entry").hidden = true;
      entry.prepend(field);
      field.focus();
      field.select();
    },
    close() { closePassage(); },
    start() {
      goTo("Settings");
      whenShown("#start-ollama", (button) => button.click());
    },
    pull({ id }) {
      goTo("Settings");
      whenShown("#pull button", (button) => {
        const name = find("#pull input, #pull textarea");
        name.value = id;
        name.dispatchEvent(new Event("input", { bubbles: true }));
        button.click();
      });
    },
  };

  function goTo(name) {
    const tab = [...document.querySelectorAll("#tabs > .tab-wrapper [role=tab]")].find((one) => one.textContent.trim() === name);
    if (tab && tab.getAttribute("aria-selected") !== "true") tab.click();
  }

  // A tab is made when it is first opened, and the app may take a moment to answer
  function whenShown(selector, act) {
    const until = performance.now() + 10000;
    const timer = setInterval(() => {
      const element = find(selector);
      const shown = element && element.getClientRects().length > 0;
      if (shown || performance.now() > until) clearInterval(timer);
      if (shown) act(element);
    }, 50);
  }

  // A document is opened at a place (ui/documents_view.py): the page goes there, and the arrow keys scroll on from there
  function land({ id, number = 0, to = 0 }) {
    whenShown(`#inside .id-${CSS.escape(id)}.n-${number}.to-${to} .here`, (place) => {
      place.closest(".paper").focus({ preventScroll: true });
      if (number || to) place.scrollIntoView({ block: "center" });
      else place.closest(".inside").scrollIntoView();
    });
  }

  async function copyText(text) {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea"); // plain http on the home network has no clipboard interface
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (link && link.origin !== location.origin && /^https?:$/.test(link.protocol)) {
      const leave = window.confirm(`This link leaves your computer:\n\n${link.href}\n\nOpen it?`);
      if (!leave) event.preventDefault();
      return;
    }
    const fresh = event.target.closest("#new-chat, #incognito");
    if (fresh) {
      if (narrow()) toggleSidebar(false);
      if (event.detail < 2) send("chat", { action: fresh.id === "incognito" ? "hide" : "new", id: "x" });
      if (!narrow()) setTimeout(() => messageBox()?.focus()); // the Chat tab may only now come into view
      return;
    }
    const button = event.target.closest(".do");
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target) || button) menu.open = false;
    }
    if (!button) return;
    event.preventDefault();
    const message = parse(button);
    if (!message || (event.detail > 1 && once.has(message.action))) return;
    if (button.closest("#chat .message-row") && !inMessages.has(`${message.bus}-${message.action}`)) return;
    if (button.classList.contains("confirm") && !window.confirm(button.title)) return;
    if (message.bus === "page") here[message.action]?.(message, button);
    else {
      if (message.action === "earlier" || message.action === "later") holdOnTo(message.action);
      send(message.bus, { action: message.action, id: message.id, number: message.number, to: message.to });
    }
    if (message.bus === "chat" && (message.action === "open") && narrow()) toggleSidebar(false);
    if (message.bus === "docs" && message.action === "inspect") {
      closePassage();
      land(message);
    }
  }, true);

  document.addEventListener("toggle", ({ target }) => {
    if (target.open && target.matches("details.menu")) target.querySelector(".menu-items").scrollIntoView({ block: "nearest" });
  }, true);

  // Keys

  const messageBox = () => find("#message-box textarea");
  const stopButton = () => find("#message-box .stop-button");

  document.addEventListener("keydown", (event) => {
    const box = messageBox();
    if (event.key === "Escape") {
      if (find("#passage .passage")) closePassage();
      else if (find("details.menu[open]")) find("details.menu[open]").open = false;
      else if (stopButton()) stopButton().click();
      else if (find("#editing .editing")) send("chat", { action: "unedit", id: "x" });
    } else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      toggleSidebar(true);
      find("#search-chats textarea, #search-chats input")?.focus();
    } else if ((event.ctrlKey || event.metaKey) && event.shiftKey && event.key.toLowerCase() === "o") {
      event.preventDefault();
      find("#new-chat")?.click();
    } else if (event.key === "ArrowUp" && event.target === box && !box.value) {
      const edits = document.querySelectorAll("#chat .do-chat-edit");
      if (edits.length) { event.preventDefault(); edits[edits.length - 1].click(); }
    }
  });

  function closePassage() {
    const panel = find("#passage .passage");
    if (panel) panel.remove();
  }

  // The sidebar

  function toggleSidebar(open) {
    const bar = find(".sidebar");
    if (!bar) return;
    if (bar.classList.contains("open") !== open) find(".sidebar .toggle-button")?.click();
  }

  // The theme: dark unless the person chose otherwise

  const chosenTheme = () => localStorage.getItem("localrlm-theme") || "dark";
  const systemDark = window.matchMedia("(prefers-color-scheme: dark)");

  function applyTheme() {
    const theme = chosenTheme();
    const dark = theme === "dark" || (theme === "system" && systemDark.matches);
    document.documentElement.classList.toggle("dark", dark);
    if (document.body && document.body.classList.contains("dark") !== dark) document.body.classList.toggle("dark", dark);
    for (const button of document.querySelectorAll("#theme button, button#theme")) {
      const label = { dark: "Dark", light: "Light", system: "System" }[theme];
      if (button.textContent !== `Theme: ${label}`) button.textContent = `Theme: ${label}`;
    }
  }

  document.addEventListener("click", (event) => {
    if (!event.target.closest("#theme")) return;
    const order = ["dark", "light", "system"];
    localStorage.setItem("localrlm-theme", order[(order.indexOf(chosenTheme()) + 1) % 3]);
    applyTheme();
  });
  systemDark.addEventListener("change", applyTheme);
  applyTheme();

  // Going back in a long conversation: the question at the edge stays where it is on the screen

  let held = null;

  function holdOnTo(way) {
    const edits = document.querySelectorAll("#chat .do-chat-edit");
    const edge = edits[way === "earlier" ? 0 : edits.length - 1];
    const id = edge && [...edge.classList].find((name) => name.startsWith("id-"));
    if (id) held = { id, top: edge.getBoundingClientRect().top, edits: edits.length, first: edits[0], until: performance.now() + 10000 };
  }

  function holdStill() {
    if (!held) return;
    const edits = document.querySelectorAll("#chat .do-chat-edit");
    if (edits.length === held.edits && edits[0] === held.first && performance.now() < held.until) return; // not drawn yet
    const { id, top } = held;
    held = null;
    for (const delay of [0, 60, 300]) { // Gradio scrolls down
      setTimeout(() => {
        const edge = [...document.querySelectorAll("#chat .do-chat-edit")].find((one) => one.classList.contains(id));
        if (edge) find("#chat [role=log]")?.scrollBy(0, edge.getBoundingClientRect().top - top);
      }, delay);
    }
  }

  // What a redraw must not lose: which folds were opened, the address, the clocks

  let greeted = null;
  let filesInBox = 0;
  let read = null;
  let sheet = {}; // the document that is open on the Upload tab, and how far it was scrolled
  const opened = new Map();

  document.addEventListener("click", (event) => {
    const summary = event.target.closest("details.fold > summary");
    const key = summary && keyOf(summary.parentElement);
    if (key) opened.set(key, !summary.parentElement.open);
  });

  document.addEventListener("scroll", ({ target }) => {
    if (target === sheet.paper) sheet.top = target.scrollTop;
  }, true);

  function keyOf(fold) {
    return [...fold.classList].find((name) => name.startsWith("key-"));
  }

  function afterRedraw() {
    for (const fold of document.querySelectorAll("details.fold")) {
      const key = keyOf(fold);
      if (key && opened.has(key) && fold.open !== opened.get(key)) fold.open = opened.get(key);
    }
    const list = find("#conversations nav");
    if (list && list.getAttribute("aria-label") === "Conversations") {
      const current = list.querySelector(".entry.current");
      const id = current ? parse(current)?.id : null;
      const url = new URL(location.href);
      if (url.searchParams.get("c") !== id) {
        if (id) url.searchParams.set("c", id); else url.searchParams.delete("c");
        history.replaceState(history.state, "", url);
      }
    }
    holdStill();
    const welcome = find("#chat .welcome");
    if (welcome && welcome !== greeted) {
      greeted = welcome;
      for (const delay of [0, 60, 300]) setTimeout(() => find("#chat [role=log]")?.scrollTo(0, 0), delay); // Gradio scrolls down
    }
    const passage = find("#passage .passage");
    if (passage && passage !== read) passage.querySelector("mark")?.scrollIntoView({ block: "center" });
    read = passage;
    const paper = find("#inside .paper");
    if (paper && paper !== sheet.paper) {
      const key = paper.parentElement.className;
      if (key === sheet.key) paper.scrollTop = sheet.top;
      sheet = { paper, key, top: paper.scrollTop };
    }
    const files = document.querySelectorAll("#message-box .thumbnail-item").length;
    if (files > filesInBox) find("#bus-files-go")?.click(); // stored at once: the token meter is right before the question is sent
    filesInBox = files;
    applyTheme();
    name();
  }

  // Gradio leaves some of its controls without a name for screen readers
  function name() {
    const upload = find("#message-box .upload-button");
    if (upload && !upload.getAttribute("aria-label")) upload.setAttribute("aria-label", "Attach files");
    const submit = find("#message-box .submit-button");
    if (submit && !submit.getAttribute("aria-label")) submit.setAttribute("aria-label", "Send");
    const stop = stopButton();
    if (stop && !stop.getAttribute("aria-label")) stop.setAttribute("aria-label", "Stop");
    const box = messageBox();
    if (box && !box.getAttribute("aria-label")) box.setAttribute("aria-label", "Your message");
    for (const toggle of document.querySelectorAll(".sidebar .toggle-button:not([aria-label])")) toggle.setAttribute("aria-label", "Conversations");
  }

  let waiting = false;
  function watch() {
    new MutationObserver(() => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; afterRedraw(); });
    }).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["class"] });
    if (narrow()) {
      const timer = setInterval(() => {
        if (find(".sidebar.open")) { toggleSidebar(false); clearInterval(timer); }
      }, 50);
      setTimeout(() => clearInterval(timer), 5000);
    }
    afterRedraw();
  }
  if (document.body) watch(); else document.addEventListener("DOMContentLoaded", watch);

  setInterval(() => {
    for (const clock of document.querySelectorAll(".elapsed")) {
      const since = [...clock.classList].find((item) => item.startsWith("since-"));
      const seconds = Math.max(0, Math.round((Date.now() - Number(since?.slice(6))) / 1000));
      const text = seconds ? `${seconds} s` : "";
      if (clock.textContent !== text) clock.textContent = text;
    }
  }, 250);

  // Files dropped anywhere on the chat go into the message box

  function boxInput() { return find("#message-box input[type=file]"); }
  const overChat = (event) => event.target.closest?.("#chat-tab") && !event.target.closest("#message-box");
  document.addEventListener("dragover", (event) => {
    if (overChat(event) && [...event.dataTransfer.types].includes("Files")) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    const input = boxInput();
    if (!overChat(event) || !event.dataTransfer.files.length || !input) return;
    event.preventDefault();
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
})();
