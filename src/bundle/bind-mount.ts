import type { Mount } from './runtime-schema.ts'

/** Whether a mount shows a part of the host: by its type, or, as runtimes have it, by its options. */
export function isBindMount(mount: Mount): boolean {
  return mount.type === 'bind' || (mount.options ?? []).some((option) => option === 'bind' || option === 'rbind')
}

/** Whether nothing can be written by a mount itself; of two words the last counts. What is mounted below it is another matter. */
export function isReadOnly({ options = [] }: Mount): boolean {
  return options.includes('rro') || options.findLast((option) => option === 'ro' || option === 'rw') === 'ro'
}
