// Work that the server did not take: what it was, beside what others have stated meanwhile.

import { call, create } from "./api.js";

const byId = (id) => document.getElementById(id);

export class LostWork {
  // `retake` is asked to bring the photo back with these answers and says whether it could;
  // `settled` hears when the person has decided.
  constructor(config, { retake, settled }) {
    Object.assign(this, { config, retake, settled, works: [] });
    byId("lost").addEventListener("cancel", (event) => event.preventDefault());
    byId("lost-retake").addEventListener("click", () => this.takeAgain());
    byId("lost-mine").addEventListener("click", () => this.stateMine());
    byId("lost-continue").addEventListener("click", () => this.end());
  }

  // `work`: image_id, file_name, values, active_seconds.
  async show(work, reason) {
    if (this.works.some((one) => one.image_id === work.image_id)) return;
    this.works.push(work);
    work.reason = reason;
    if (this.works.length === 1) await this.open();
  }

  async open() {
    const [work] = this.works;
    const theirs = await this.stated(work.image_id);
    byId("lost-name").textContent = work.file_name;
    byId("lost-reason").textContent = work.reason;
    byId("lost-draft").replaceChildren(...this.config.labels.map((label) => this.row(label, work.values, theirs)));
    byId("lost").toggleAttribute("data-merge", Object.keys(theirs).length > 0);
    if (!byId("lost").open) byId("lost").showModal();
  }

  async stated(imageId) {
    const address = `/projects/${this.config.slug}/images/${imageId}/labels`;
    const known = await call("GET", address).catch(() => ({ items: [] }));
    return Object.fromEntries((known.items ?? known).map((one) => [one.label, one.value]));
  }

  row(label, mine, theirs) {
    const row = byId("lost-row").content.firstElementChild.cloneNode(true);
    const [own, other] = [mine[label.key] ?? "absent", theirs[label.key]];
    row.querySelector("th").textContent = label.name;
    row.querySelector("[data-mine]").textContent = this.config.messages.values[own];
    row.querySelector("[data-theirs]").textContent = this.config.messages.values[other ?? "unknown"];
    row.toggleAttribute("data-differs", other !== undefined && other !== own);
    return row;
  }

  async takeAgain() {
    const [work] = this.works;
    byId("lost").close();
    if (await this.retake(work)) return this.end();
    work.reason = this.config.messages.taken_by_other;
    await this.open();
  }

  // A statement of one's own, without the lease: what others stated stays in the photo's history.
  async stateMine() {
    const [work] = this.works;
    const body = { values: work.values, is_complete: true, active_seconds: work.active_seconds };
    try {
      await create(`/projects/${this.config.slug}/images/${work.image_id}/annotations`, body);
      await this.end();
    } catch (error) {
      byId("lost-reason").textContent = error.message;
    }
  }

  async end() {
    byId("lost").close();
    this.settled(this.works.shift());
    if (this.works.length) await this.open();
  }
}
