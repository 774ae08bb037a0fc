// <button data-print>: the browser's own printing, from which it also makes a PDF.

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) window.print();
});
