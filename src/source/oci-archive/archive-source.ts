import { archiveFiles } from '../archive-files.ts'
import type { LayoutLocation } from '../oci-layout/choose-image.ts'
import { layoutSource } from '../oci-layout/layout-source.ts'
import type { ImageSource } from '../source.ts'

/**
 * An image in a tar archive of an OCI layout, plain or compressed with gzip or zstd. It is streamed and nowhere unpacked.
 *
 * Errors as those of `ociLayoutSource`.
 */
export function ociArchiveSource(location: LayoutLocation): ImageSource {
  return layoutSource(archiveFiles(location.path), location)
}
