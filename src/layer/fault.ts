import { ForerunError } from '../errors.ts'
import type { LayerLimits, LayerTotals } from '../image/layer-limits.ts'

/** What is wrong with a layer, said by code that does not know which layer it reads; see `layerError`. */
export class LayerFault extends Error {
  override readonly name = 'LayerFault'
  /** The limit that was passed; undefined for a malformed layer. */
  readonly limit: keyof LayerLimits | undefined

  constructor(message: string, options: { limit?: keyof LayerLimits; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.limit = options.limit
  }
}

/** @param totals of all layers of the image, as far as they are known. @throws LayerFault when they pass a limit. */
export function checkImageTotals({ entries, size }: LayerTotals, limits: LayerLimits): void {
  if (entries > limits.imageEntries) {
    throw new LayerFault(`more than ${limits.imageEntries} entries in the image`, { limit: 'imageEntries' })
  }
  if (size > limits.imageSize) {
    throw new LayerFault(`more than ${limits.imageSize} bytes in the files of the image`, { limit: 'imageSize' })
  }
}

/** @param where a place in the layer: `byte 1024 of its archive`. */
export function layerError(fault: LayerFault, { layer, where }: { layer: string; where: string }): ForerunError {
  const message = `layer ${layer}: ${fault.message}, at ${where}`
  if (fault.limit === undefined) {
    return new ForerunError('layer', message, {
      hint: 'The image is malformed: have it built anew.',
      cause: fault.cause,
    })
  }
  return new ForerunError('limit', message, {
    hint: `If you trust the image, raise '${settingName(fault.limit)}' under [limits] in /etc/forerun/forerun.conf.`,
  })
}

function settingName(limit: keyof LayerLimits): string {
  return limit.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
