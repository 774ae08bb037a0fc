// Photos in hand: leases taken ahead, held by heartbeats, with the drafts of the work on them.

import { call, create } from "./api.js";

const AHEAD = 12; // the photo on the screen, and at least ten that are on their way to the browser
const HEARTBEAT_MS = 60_000;
const LEASE_LOST = "/problems/lease-lost";

export const isLost = (error) => error.body?.type === LEASE_LOST;

export class Leases {
  // `wish` says which photos are wanted; `onLost` hears of a lease that is somebody else's now,
  // `onTrouble` of everything else that goes wrong.
  constructor(slug, wish, { onLost, onTrouble }) {
    Object.assign(this, { reviews: `/projects/${slug}/reviews`, slug, wish, onLost, onTrouble });
    this.held = []; // the first one is on the screen
    this.isFilling = false;
    this.generation = 0;
  }

  get current() {
    return this.held[0] ?? null;
  }

  async ofMine() {
    const found = await call("GET", `${this.reviews}/leases`);
    return found.items.filter((one) => one.purpose === this.wish.purpose);
  }

  async begin(onShow, isOpen) {
    this.onShow = onShow;
    this.held = (await this.ofMine()).filter(isOpen);
    onShow();
    setInterval(() => this.held.slice(1).forEach((one) => this.beat(one)), HEARTBEAT_MS);
    await this.refill();
  }

  previewOf(lease) {
    return `/api/v1/projects/${this.slug}/images/${lease.image_id}/preview`;
  }

  prefetch() {
    for (const lease of this.held.slice(1)) {
      if (lease.prefetched) continue;
      lease.prefetched = new Image();
      lease.prefetched.src = this.previewOf(lease);
    }
  }

  async take(wish) {
    const found = await create(`${this.reviews}/leases`, { ...this.wish, ...wish });
    return found.items;
  }

  async refill() {
    if (this.isFilling || this.held.length >= AHEAD - 1) return;
    this.isFilling = true;
    const generation = this.generation;
    try {
      const taken = await this.take({ count: AHEAD - this.held.length });
      if (generation !== this.generation) return this.giveBack(taken);
      const wasEmpty = !this.current;
      this.held.push(...taken.filter((one) => !this.held.some((held) => held.image_id === one.image_id)));
      if (wasEmpty) this.onShow();
      else this.prefetch();
    } catch (error) {
      if (!this.current) this.onTrouble(error);
    } finally {
      this.isFilling = false;
    }
  }

  // Other photos from now on: all but the one on the screen go back to the queue.
  async change(wish) {
    this.wish = { ...this.wish, ...wish };
    this.generation += 1;
    await this.giveBack(this.held.splice(1));
    await this.refill();
  }

  async giveBack(leases) {
    const path = (one) => `${this.reviews}/leases/${one.image_id}/release`;
    await Promise.all(leases.map((one) => create(path(one), { token: one.token }).catch(() => null)));
  }

  // This photo again, on the screen; null when it is not to be had.
  async retake(imageId) {
    const isIt = (held) => held.image_id === imageId;
    const [taken] = await this.take({ image_ids: [imageId], count: 1, label: null, lot: null });
    // Taking photos ahead may have brought it back to us already.
    const found = taken ?? (await this.ofMine()).find(isIt) ?? null;
    if (found) this.held = [found, ...this.held.filter((held) => !isIt(held))];
    return found;
  }

  drop(lease) {
    this.held = this.held.filter((one) => one !== lease);
  }

  async skip(lease) {
    await create(`${this.reviews}/leases/${lease.image_id}/skip`, { token: lease.token });
  }

  async beat(lease, draft) {
    const path = `${this.reviews}/leases/${lease.image_id}/heartbeat`;
    try {
      await call("POST", path, { token: lease.token, ...(draft ? { draft } : {}) });
    } catch (error) {
      if (!isLost(error)) return;
      if (lease === this.current) this.onLost(lease, error);
      else this.drop(lease);
    }
  }
}
