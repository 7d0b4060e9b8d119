import type { ImageVersion } from '../../../operations/images/image-version.ts'
import { printable } from '../../output/printable.ts'

/** `etcd-3.5-1`, or that the image does not say. */
export function versionText({ name, version, release }: Pick<ImageVersion, 'name' | 'version' | 'release'>): string {
  if (version === undefined) return `${printable(name)}, which tells no version`
  return printable([name, version, release].filter((part) => part !== undefined).join('-'))
}
