/* Lists as in a spreadsheet: cells are chosen by dragging, by shift and arrows, or whole columns by their heads; a bar
   tells their count, sum and average; what is chosen, or the whole table, is copied with its heads.
   A head's data-kind says what its column holds, a cell's data-value the number: micros, seconds or things. */
(function () {
  'use strict';

  const NUMBERS = {amount: amount, price: price, duration: duration, long_duration: duration, count: String};
  const STEP = {amount: 100n};              // what may move a balance is a whole number of 1/10,000
  const ROWS = 'tr:not(.why)', NO_DATA = '.pick, .options, .share';
  const TOUCHABLE = 'a, button, input, select, label, summary';

  let chosen = null;                        // {table, from: [row, column], to: [row, column]}
  let dragging = false;
  let copying = null;                       // what the next copy takes, whatever is selected

  const sums = () => document.getElementById('sums');
  const sign = name => sums().dataset[name];

  /* A table's data cells by row and column, and its heads; what is laid out as cards has no columns. */

  const dataOf = row => Array.from(row.cells).filter(cell => !cell.matches(NO_DATA));
  const cellsOf = table => Array.from(table.tBodies).flatMap(body => Array.from(body.rows)).filter(row => row.matches(ROWS)).map(dataOf);
  const headsOf = table => dataOf(table.tHead.rows[0]);
  const isList = table => table && table.tHead && table.tHead.querySelector('[data-kind]');
  const isGrid = table => isList(table) && getComputedStyle(table).display === 'table';

  function placeOf(cell) {
    const row = cell.closest('tr');
    const rows = Array.from(row.parentElement.rows).filter(one => one.matches(ROWS));
    return [rows.indexOf(row), dataOf(row).indexOf(cell)];
  }

  function dataCell(target) {
    const cell = target.closest && target.closest('tbody > tr:not(.why) > :is(td, th)');
    return cell && !cell.matches(NO_DATA) && isGrid(cell.closest('table')) ? cell : null;
  }

  function spans() {
    const order = (one, other) => one < other ? [one, other] : [other, one];
    const [top, bottom] = order(chosen.from[0], chosen.to[0]), [first, last] = order(chosen.from[1], chosen.to[1]);
    return {top, bottom, first, last};
  }

  function chosenCells() {
    const {top, bottom, first, last} = spans();
    return cellsOf(chosen.table).slice(top, bottom + 1).map(row => row.slice(first, last + 1));
  }

  /* Numbers: whole ones of the smallest unit, never fractions; averages are rounded half up. */

  function floorDivided(one, by) {
    const whole = one / by;
    return one % by !== 0n && one < 0n !== by < 0n ? whole - 1n : whole;
  }

  function average(sum, count, step) {
    const n = BigInt(count) * step;
    return floorDivided(2n * sum + n, 2n * n) * step;
  }

  const digits = value => value < 0n ? ['-', String(-value)] : ['', String(value)];

  function decimal(value, places) {
    const [minus, all] = digits(value);
    const padded = all.padStart(places + 1, '0');
    return minus + padded.slice(0, -places) + '.' + padded.slice(-places);
  }

  function amount(micros) { return decimal(micros / 100n, 4); }

  function price(micros) { return micros % 100n ? decimal(micros, 6) : amount(micros); }

  function duration(seconds) {
    const [minus, all] = digits(seconds);
    const two = number => String(number).padStart(2, '0');
    const whole = BigInt(all);
    return minus + whole / 3600n + ':' + two(whole / 60n % 60n) + ':' + two(whole % 60n);
  }

  const forFile = text => text.replace('.', sign('decimal'));

  function forPeople(text) {
    const [whole, fraction] = text.split('.');
    const grouped = whole.includes(':') ? whole : whole.replace(/\B(?=(\d{3})+$)/g, sign('group'));
    return fraction === undefined ? grouped : grouped + sign('decimal') + fraction;
  }

  /* The bar. Amounts and durations that are chosen together are told apart. */

  function facts(cells) {
    const heads = headsOf(chosen.table), {first} = spans();
    const values = {};
    for (const row of cells) row.forEach(function (cell, column) {
      const kind = heads[first + column].dataset.kind.replace('long_', '');
      if (cell.dataset.value !== undefined) (values[kind] = values[kind] || []).push(BigInt(cell.dataset.value));
    });
    const count = cells.reduce((total, row) => total + row.length, 0);
    const said = [[sign('cells'), String(count)]];
    for (const [kind, numbers] of Object.entries(values)) {
      const sum = numbers.reduce((one, other) => one + other, 0n), write = number => forPeople(NUMBERS[kind](number));
      if (numbers.length < count) said.push([sign('numbers'), String(numbers.length)]);
      said.push([sign('sum'), write(sum)], [sign('average'), write(average(sum, numbers.length, STEP[kind] || 1n))]);
    }
    return said;
  }

  function show() {
    for (const cell of document.querySelectorAll('.chosen')) cell.classList.remove('chosen');
    const cells = chosen ? chosenCells() : [];
    for (const row of cells) for (const cell of row) cell.classList.add('chosen');
    const several = cells.length > 1 || (cells.length === 1 && cells[0].length > 1);
    const said = several ? facts(cells) : [];
    sums().hidden = !several;
    sums().querySelector('p').replaceChildren(...said.map(function ([words, number]) {
      const part = document.createElement('span'), strong = document.createElement('b');
      strong.textContent = number;
      part.append(words + ' ', strong);
      return part;
    }));
    document.getElementById('sums-said').textContent = said.map(part => part.join(' ')).join(', ');
  }

  function choose(table, from, to) {
    chosen = {table, from, to};
    show();
  }

  function forget() {
    if (!chosen) return;
    chosen = null;
    show();
  }

  function focus(cell) {
    for (const other of cell.closest('tbody').querySelectorAll('[tabindex]')) if (dataCell(other)) other.tabIndex = -1;
    cell.tabIndex = 0;
    cell.focus({preventScroll: false});
  }

  /* The mouse. Within one cell it selects text, as everywhere. */

  document.addEventListener('pointerdown', function (event) {
    if (event.button !== 0 || event.pointerType !== 'mouse' || event.target.closest('.sums, [data-copy-table]')) return;
    const head = event.target.closest('thead th'), cell = dataCell(event.target);
    if (head && isGrid(head.closest('table'))) return;
    if (!cell) { forget(); return; }
    if (event.target.closest(TOUCHABLE)) return;
    const table = cell.closest('table'), place = placeOf(cell);
    const extends_ = event.shiftKey && chosen && chosen.table === table;
    if (extends_) event.preventDefault();
    focus(cell);
    choose(table, extends_ ? chosen.from : place, place);
    dragging = true;
  });

  document.addEventListener('pointerover', function (event) {
    const cell = dragging && dataCell(event.target);
    if (!cell || cell.closest('table') !== chosen.table) return;
    chosen.table.classList.add('choosing');
    getSelection().removeAllRanges();
    choose(chosen.table, chosen.from, placeOf(cell));
  });

  document.addEventListener('pointerup', function () {
    if (dragging && chosen) chosen.table.classList.remove('choosing');
    dragging = false;
  });

  document.addEventListener('click', function (event) {   // beside the words of a head, which sort
    const head = event.target.closest('thead th');
    const table = head && head.closest('table');
    if (!isGrid(table) || event.target.closest(TOUCHABLE) || head.matches(NO_DATA)) return;
    const column = headsOf(table).indexOf(head), last = cellsOf(table).length - 1;
    const first = event.shiftKey && chosen && chosen.table === table ? chosen.from[1] : column;
    focus(cellsOf(table)[0][column]);
    choose(table, [0, first], [last, column]);
  });

  /* Keys: one cell of a table can be reached by Tab, the others by arrows. */

  function step(event, [row, column], table) {
    const onward = document.documentElement.dir === 'rtl' ? -1 : 1;
    const rows = cellsOf(table), within = (number, most) => Math.min(Math.max(number, 0), most - 1);
    const [down, right] = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -onward], ArrowRight: [0, onward],
      Home: [0, -column], End: [0, rows[0].length]}[event.key] || [0, 0];
    return [within(row + down, rows.length), within(column + right, rows[0].length)];
  }

  document.addEventListener('keydown', function (event) {
    if (event.key === 'Escape' && !document.querySelector('dialog[open]')) forget();
    const cell = event.target.matches('tbody [tabindex]') && dataCell(event.target);
    if (!cell || event.altKey) return;
    const table = cell.closest('table'), rows = cellsOf(table), control = event.ctrlKey || event.metaKey;
    const goesOn = event.shiftKey && chosen && chosen.table === table;
    const place = goesOn ? chosen.to : placeOf(cell);
    if (control && event.key.toLowerCase() === 'a') choose(table, [0, 0], [rows.length - 1, rows[0].length - 1]);
    else if (control && event.key === ' ') choose(table, [0, place[1]], [rows.length - 1, place[1]]);
    else if (!control && /^(Arrow.*|Home|End)$/.test(event.key)) {
      const to = step(event, place, table);
      focus(rows[to[0]][to[1]]);
      choose(table, goesOn ? chosen.from : event.shiftKey ? place : to, to);
    } else return;
    event.preventDefault();
  });

  /* Copies, with tabs between the cells. What a spreadsheet would run as a formula gets a quote before it. */

  function textOf(cell, kind) {
    if (cell.dataset.value !== undefined) return forFile(NUMBERS[kind](BigInt(cell.dataset.value)));
    const text = (cell.dataset.text === undefined ? cell.textContent : cell.dataset.text).replace(/\s+/g, ' ').trim();
    return /^[=+\-@]/.test(text) ? "'" + text : text;
  }

  function lines(heads, rows) {
    const titles = heads.map(head => head.textContent.trim());
    const texts = rows.map(row => row.map((cell, column) => textOf(cell, heads[column].dataset.kind)));
    return [titles, ...texts].map(row => row.join('\t')).join('\n') + '\n';
  }

  function chosenText() {
    const {first, last} = spans(), cells = chosenCells(), heads = headsOf(chosen.table).slice(first, last + 1);
    return cells.length * heads.length === 1 ? textOf(cells[0][0], heads[0].dataset.kind) : lines(heads, cells);
  }

  document.addEventListener('copy', function (event) {
    const isTyping = document.activeElement && document.activeElement.matches('input, textarea');
    const text = copying !== null ? copying : chosen && !isTyping && getSelection().isCollapsed ? chosenText() : null;
    if (text === null) return;
    event.clipboardData.setData('text/plain', text);
    event.preventDefault();
  });

  /* Over plain http a page has no clipboard of its own, so the browser is asked to copy, which needs a selection. */

  function copy(text, button) {
    const words = button.lastElementChild, before = words.textContent;
    copying = text;
    getSelection().selectAllChildren(words);
    const done = document.execCommand('copy');
    getSelection().removeAllRanges();
    copying = null;
    if (!done || before === button.dataset.copied) return;
    words.textContent = button.dataset.copied;
    setTimeout(function () { words.textContent = before; }, 2000);
  }

  document.addEventListener('click', function (event) {
    const button = event.target.closest('[data-copy-cells], [data-copy-table], [data-copy-link], [data-no-cells]');
    if (!button) return;
    if (button.matches('[data-no-cells]')) forget();
    else if (button.matches('[data-copy-link]')) copy(new URL(button.dataset.copyLink, location.href).href, button);
    else if (button.matches('[data-copy-cells]')) copy(chosenText(), button);
    else {
      const table = document.querySelector('main ' + button.dataset.copyTable);
      if (table) copy(lines(headsOf(table), cellsOf(table)), button);
    }
  });

  function prepare(within) {
    for (const table of within.querySelectorAll('table')) {
      const first = isList(table) && cellsOf(table)[0];
      if (first && first.length) first[0].tabIndex = 0;
    }
  }

  document.addEventListener('DOMContentLoaded', function () { prepare(document); });
}());
