// Sorting, where scripts run: each column's head becomes a button. Without scripts the tables stand as they are.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, at) => row.cells[at].dataset.value ?? row.cells[at].textContent;
  heads.forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") === "descending";
      const body = table.tBodies[0];
      const numeric = body.rows[0].cells[at].dataset.value !== undefined;
      const rows = [...body.rows].filter((row) => !row.classList.contains("total"));
      const totals = [...body.rows].filter((row) => row.classList.contains("total"));
      rows.sort((one, other) =>
        numeric ? value(one, at) - value(other, at) : value(one, at).localeCompare(value(other, at)));
      body.append(...(up ? rows : rows.reverse()), ...totals);
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
    });
  });
}
