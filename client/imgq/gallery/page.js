"use strict";
{
  const pictures = [...document.querySelectorAll(".picture")];
  const box = document.querySelector("dialog");
  const part = (name) => box.querySelector(name);
  let current = 0;
  let shown = 0;

  const enlarged = (picture) => {
    const copy = picture.firstElementChild.cloneNode(true);
    // A thumbnail is small: larger than three times its own size it would only be a blur.
    if (copy instanceof HTMLImageElement) copy.width = 3 * picture.firstElementChild.naturalWidth;
    return copy;
  };

  const show = (index) => {
    current = shown = index;
    const picture = pictures[current];
    const card = picture.parentElement;
    part("figure").replaceChildren(enlarged(picture));
    part("h2").textContent = card.querySelector(".name").textContent;
    part("section dl").replaceChildren(...card.querySelector("dl").cloneNode(true).children);
    part(".file").href = picture.href;
    part(".folder").href = picture.dataset.folder;
    part(".position").textContent = `${current + 1} of ${pictures.length}`;
    part(".previous").disabled = current === 0;
    part(".next").disabled = current === pictures.length - 1;
    part("section").scrollTop = 0;
    if (!box.open) box.showModal();
  };

  const go = (index) => {
    const next = Math.max(0, Math.min(pictures.length - 1, index));
    if (box.open) show(next);
    else pictures[next].focus();
  };

  // The nearest picture of the row above or below, as it lies on the screen now.
  const beside = (direction) => {
    const here = pictures[current].getBoundingClientRect();
    const middle = here.left + here.width / 2;
    let best = current;
    let least = [Infinity, Infinity];
    pictures.forEach((picture, index) => {
      const there = picture.getBoundingClientRect();
      const down = (there.top - here.top) * direction;
      const aside = Math.abs(there.left + there.width / 2 - middle);
      if (down < 1 || down > least[0] + 1 || (down > least[0] - 1 && aside >= least[1])) return;
      best = index;
      least = [down, aside];
    });
    return best;
  };

  const note = (words) => {
    const place = box.open ? part(".note") : document.querySelector("body > .note");
    place.textContent = words;
    clearTimeout(note.timer);
    note.timer = setTimeout(() => { place.textContent = ""; }, 2500);
  };

  // Where there is no clipboard to write to, as in a page that is not local, there is the old way.
  const copyBySelection = (text) => {
    const field = document.createElement("textarea");
    field.value = text;
    (box.open ? box : document.body).append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  };

  const copy = async () => {
    const text = pictures[current].dataset.copy;
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const focused = document.activeElement;
      done = copyBySelection(text);
      focused?.focus();
    }
    note(done ? `Copied ${text}` : `Copying is not allowed here: ${text}`);
  };

  const moves = {
    ArrowLeft: () => current - 1,
    ArrowRight: () => current + 1,
    ArrowUp: () => (box.open ? current - 1 : beside(-1)),
    ArrowDown: () => (box.open ? current + 1 : beside(1)),
    Home: () => 0,
    End: () => pictures.length - 1,
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !pictures.length) return;
    if (event.key in moves) {
      event.preventDefault();
      // The first arrow only shows where it begins.
      const begun = box.open || pictures.includes(document.activeElement);
      go(begun || event.key === "End" ? moves[event.key]() : current);
    } else if (event.key.toLowerCase() === "c") {
      copy();
    }
  });

  pictures.forEach((picture, index) => {
    picture.addEventListener("focus", () => { current = index; });
    picture.addEventListener("click", (event) => {
      // With a modifier, a click is the browser's: the file in a new tab.
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
      event.preventDefault();
      show(index);
    });
  });
  part(".previous").addEventListener("click", () => go(current - 1));
  part(".next").addEventListener("click", () => go(current + 1));
  part(".close").addEventListener("click", () => box.close());
  part(".copy").addEventListener("click", copy);
  // The browser has by now given the focus back to the picture that was enlarged first.
  box.addEventListener("close", () => pictures[shown].focus());
  part("figure").addEventListener("click", () => box.close());
  document.querySelector("footer").hidden = pictures.length === 0;
}
