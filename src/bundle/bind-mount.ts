import type { Mount } from './runtime-schema.ts'

/** Whether a mount shows a part of the host: by its type, or, as runtimes have it, by its options. */
export function isBindMount(mount: Mount): boolean {
  return mount.type === 'bind' || (mount.options ?? []).some((option) => option === 'bind' || option === 'rbind')
}
