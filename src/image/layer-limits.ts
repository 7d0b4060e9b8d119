/**
 * What one layer, and an image, may ask of the host; over it, reading ends with a ForerunError `limit`. Each has a
 * setting of the same name in kebab case under `[limits]`.
 */
export interface LayerLimits {
  /** Entries of the archive. */
  readonly entries: number
  /** Bytes of one file, holes included. */
  readonly fileSize: number
  /** Bytes of the uncompressed archive, and of the holes of its sparse files. */
  readonly layerSize: number
  /** Entries of all layers of an image together. */
  readonly imageEntries: number
  /** Bytes of all files in all layers of an image together, holes included. */
  readonly imageSize: number
  /** Bytes of a path or of a link's target. More than the 4,095 bytes of one system call can be made in a checkout. */
  readonly pathLength: number
  /** Parts of a path. */
  readonly pathDepth: number
  /** Bytes of one extended header, or of all global ones together. */
  readonly extendedHeaderSize: number
  /** Extended attributes of one entry. */
  readonly xattrs: number
  /** Bytes of one extended attribute. */
  readonly xattrSize: number
  /** Uncompressed by compressed bytes, once there are so many that a bomb could hurt. Deflate itself ends at 1032. */
  readonly compressionRatio: number
}

/** What layers have, to be held against the limits of the image. */
export interface LayerTotals {
  readonly entries: number
  /** Bytes of all files, holes included. */
  readonly size: number
}

export const defaultLayerLimits: LayerLimits = {
  entries: 1_000_000,
  fileSize: 64 * 1024 ** 3,
  layerSize: 128 * 1024 ** 3,
  imageEntries: 2_000_000,
  imageSize: 256 * 1024 ** 3,
  pathLength: 32 * 1024,
  pathDepth: 256,
  extendedHeaderSize: 1024 ** 2,
  xattrs: 256,
  xattrSize: 64 * 1024,
  compressionRatio: 1200,
}
