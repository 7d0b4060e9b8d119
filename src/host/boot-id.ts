import { readFileSync } from 'node:fs'

/** Another one for each boot of the host (random(4)). */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}
