/* CooVox Billing: what pages do more with a script. Without it every page still works: menus are native popovers,
   selection and bulk edit are plain forms, what opens a dialog is a link to the same form as a page.
   Loaded in <head> without defer, so that the first paint already has the theme. */
(function () {
  'use strict';

  const root = document.documentElement;
  root.classList.add('js');

  /* Theme: auto, light or dark. The server reads the same cookie and renders the same attributes. */

  const MEDIA = {auto: 'screen and (prefers-color-scheme: dark)', light: 'not all', dark: 'screen'};

  function themeOfCookie() {
    const found = document.cookie.match(/(?:^|; )theme=(auto|light|dark)(?:;|$)/);
    return found ? found[1] : 'auto';
  }

  function showTheme(theme) {
    const dark = document.getElementById('dark');
    if (dark) dark.media = MEDIA[theme];
    for (const button of document.querySelectorAll('.theme button')) button.setAttribute('aria-pressed', String(button.value === theme));
  }

  showTheme(themeOfCookie());

  /* Colors for whoever sees few of them: a class of the page, and the same cookie as the server's. */

  function showPalette(button) {
    const safe = root.classList.toggle('safe');
    button.value = safe ? 'standard' : 'safe';
    button.setAttribute('aria-pressed', String(safe));
    keep('palette', safe ? 'safe' : 'standard');
  }

  function keep(name, value) {
    document.cookie = name + '=' + value + '; path=' + (root.dataset.base || '/') + '; max-age=31536000; samesite=lax';
  }

  /* Where no zone was chosen yet, the browser's is proposed: [data-own-zone] is a select of zones. */

  document.addEventListener('DOMContentLoaded', function () {
    const zones = document.querySelector('[data-own-zone]');
    const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (zones && zones.value === 'UTC' && Array.from(zones.options).some(option => option.value === own)) zones.value = own;
  });

  /* Dialogs: [data-dialog="#id"] opens one that is on the page; what htmx puts into a dialog opens it. */

  function open(dialog) {
    if (!dialog || dialog.open) return;
    dialog.showModal();
    const first = dialog.querySelector('[aria-invalid="true"], [autofocus]');
    if (first) first.focus();
  }

  document.addEventListener('click', function (event) {
    const opener = event.target.closest('[data-dialog]');
    if (opener && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      const dialog = document.querySelector(opener.dataset.dialog);
      if (dialog) { event.preventDefault(); open(dialog); }
    }
    const closer = event.target.closest('[data-close]');
    if (closer) {
      const thing = closer.closest('dialog, .toast');
      if (thing) { event.preventDefault(); if (thing.matches('dialog')) thing.close(); else thing.remove(); }
    }
    const theme = event.target.closest('.theme button');
    if (theme) {
      event.preventDefault();
      keep('theme', theme.value);
      showTheme(theme.value);
    }
    const palette = event.target.closest('.palette button');
    if (palette) { event.preventDefault(); showPalette(palette); }
    if (event.target.closest('[data-print]')) window.print();
    const copier = event.target.closest('[data-copy]');
    if (copier) copy(document.querySelector(copier.dataset.copy), copier);
  });

  /* Over plain http a page has no clipboard of its own: what was selected is copied as a person would. */

  function copy(text, button) {
    getSelection().selectAllChildren(text);
    if (document.execCommand('copy')) button.lastElementChild.textContent = button.dataset.copied;
  }

  document.addEventListener('htmx:afterSwap', function (event) {
    const dialog = event.detail.target.closest('dialog');
    if (dialog) open(dialog);
    prepare(event.detail.target);
  });

  /* What a dialog asked for and did not get is told. A form may then be sent again: it acts once. */

  function tell(event, words) {
    const dialog = event.target.closest('dialog') || document.getElementById('dialog');
    if (event.target.closest('#live') || !dialog) return;
    if (!dialog.open) dialog.replaceChildren();
    let notice = dialog.querySelector('.notice.failed');
    if (!notice) {
      notice = document.createElement('p');
      notice.className = 'notice bad failed';
      notice.setAttribute('role', 'alert');
      dialog.append(notice);
    }
    notice.textContent = words;
    open(dialog);
  }

  document.addEventListener('htmx:responseError', function (event) {
    const page = new DOMParser().parseFromString(event.detail.xhr.responseText, 'text/html');
    const said = page.querySelector('main p');
    tell(event, said ? said.textContent : String(event.detail.xhr.status));
  });

  document.addEventListener('htmx:sendError', function (event) { tell(event, root.dataset.away); });

  /* Selection: counts, the page's box, "all matching", and the buttons that need somebody selected. */

  function countSelection(form) {
    const boxes = Array.from(form.querySelectorAll('tbody .pick input'));
    const page = form.querySelector('thead .pick input');
    const all = form.querySelector('[data-all]');
    const ticked = boxes.filter(box => box.checked).length;
    const selected = all && all.checked ? Number(all.dataset.all) : ticked;
    const bar = form.querySelector('.selection');
    if (page) { page.checked = ticked > 0 && ticked === boxes.length; page.indeterminate = ticked > 0 && ticked < boxes.length; }
    if (!bar) return;
    const words = bar.querySelector('[data-count]');
    if (words) words.textContent = selected;
    bar.classList.toggle('some', selected > 0);
    for (const button of bar.querySelectorAll('.actions button')) button.disabled = selected === 0;
  }

  let lastBox = null;

  document.addEventListener('click', function (event) {   // shift+click: everything between
    if (!event.target.matches('tbody .pick input')) return;
    const boxes = Array.from(event.target.form.querySelectorAll('tbody .pick input'));
    const from = boxes.indexOf(lastBox), to = boxes.indexOf(event.target);
    if (event.shiftKey && from >= 0) for (const box of boxes.slice(Math.min(from, to), Math.max(from, to) + 1)) box.checked = event.target.checked;
    lastBox = event.target;
    countSelection(event.target.form);
  });

  document.addEventListener('change', function (event) {
    const control = event.target, form = control.form;
    if (control.matches('.pick input, [data-all]') && form) {
      if (control.matches('thead .pick input, [data-all]')) for (const box of form.querySelectorAll('tbody .pick input')) box.checked = control.checked;
      const all = form.querySelector('[data-all]');
      if (all && !control.checked) all.checked = false;
      countSelection(form);
    }
    if (control.matches('select[data-submits]')) form.requestSubmit();
    const row = control.closest('.bulk > div');           // touching a field of a bulk edit ticks it
    if (row && !control.closest('.tick')) row.querySelector('.tick input').checked = true;
  });

  document.addEventListener('input', function (event) {
    const row = event.target.closest('.bulk > div');
    if (row && !event.target.closest('.tick')) row.querySelector('.tick input').checked = true;
  });

  /* Enter in a field that has a button of its own presses that one, not the form's. */

  document.addEventListener('keydown', function (event) {
    const button = event.key === 'Enter' && event.target.matches('[data-enter]') && document.querySelector(event.target.dataset.enter);
    if (button) { event.preventDefault(); button.click(); }
  });

  /* A form is sent once; the server's own guard (a key in the form) holds even if this does not run. */

  document.addEventListener('submit', function (event) {
    const form = event.target;
    if (form.method !== 'post' || event.defaultPrevented) return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = 'yes';
    setTimeout(function () { delete form.dataset.sent; }, 5000);
  });

  window.addEventListener('pageshow', function () {
    for (const form of document.querySelectorAll('form[data-sent]')) delete form.dataset.sent;
    for (const form of document.querySelectorAll('form:has(.selection)')) countSelection(form);
  });

  /* Live calls: the seconds run here between two refreshes by the server. */

  function clock(seconds, long) {
    const two = number => String(number).padStart(2, '0');
    const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60;
    return long ? two(hours) + ':' + two(minutes) + ':' + two(seconds % 60)
      : hours ? hours + ':' + two(minutes) + ':' + two(seconds % 60) : minutes + ':' + two(seconds % 60);
  }

  setInterval(function () {
    if (document.hidden) return;
    for (const talk of document.querySelectorAll('[data-talk]')) talk.textContent = clock(++talk.dataset.talk, true);
    for (const left of document.querySelectorAll('[data-left]')) {
      if (left.dataset.left > 0) left.dataset.left -= 1;
      left.querySelector('[data-words]').textContent = clock(Number(left.dataset.left), false);
      const bar = left.querySelector('progress');
      if (bar) bar.value = left.dataset.left;
      left.classList.toggle('short', left.dataset.left < 120);
    }
  }, 1000);

  /* What renews itself waits while nobody sees it. */

  document.addEventListener('htmx:beforeRequest', function (event) {
    const renewed = event.target.matches('[hx-trigger^="every"]');
    if (renewed && (document.hidden || event.target.closest('details:not([open])'))) event.preventDefault();
  });

  /* What was closed stays closed: the server reads the same cookie. What is open has none. */

  document.addEventListener('toggle', function (event) {
    const name = event.target.dataset && event.target.dataset.remembered;
    if (name) document.cookie = name + '=closed; path=' + (root.dataset.base || '/') + '; max-age=' + (event.target.open ? 0 : 31536000) + '; samesite=lax';
  }, true);

  /* Toasts of success go away; those of failure stay until they are closed. */

  function prepare(within) {
    for (const toast of within.querySelectorAll('.toast:not(.bad)')) setTimeout(function () { toast.remove(); }, 8000);
    const wrong = within.querySelector(':is(main, .dialog[open]) [aria-invalid="true"]:not(dialog:not([open]) *)');
    if (wrong) wrong.focus();
    for (const form of within.querySelectorAll('form')) if (form.querySelector('.selection')) countSelection(form);
  }

  document.addEventListener('DOMContentLoaded', function () {
    showTheme(themeOfCookie());
    prepare(document);
  });
}());
