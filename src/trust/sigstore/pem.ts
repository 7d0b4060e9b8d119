import { decodeBase64 } from './base64.ts'

export interface PemBlock {
  /** `PUBLIC KEY`, `CERTIFICATE`, … */
  readonly label: string
  readonly der: Buffer
}

/** The blocks of a PEM text (RFC 7468); what stands between them is left out, and so is a block that is not base64. */
export function pemBlocks(text: string): PemBlock[] {
  return [...text.matchAll(/-----BEGIN ([A-Z0-9 ]{1,64})-----([^-]*)-----END \1-----/g)].flatMap(
    ([, label = '', body = '']) => {
      const der = decodeBase64(body.replace(/\s/g, ''))
      return der === undefined || der.length === 0 ? [] : [{ label, der }]
    },
  )
}
