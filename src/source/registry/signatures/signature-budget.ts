import { ForerunError } from '../../../errors.ts'
import { largestSignature, mostSignatures } from '../../signature-blob.ts'

/** How much of signatures one manifest or index may have, wherever they are; they are held in memory. */
export interface SignatureBudget {
  /** Refuses when there may be so many more. @throws ForerunError `limit`; `origin` names them there. */
  expect(more: number, origin: string): void
  /** Counts a signature of so many bytes, if it can before it is read. @throws ForerunError `limit` */
  spend(bytes: number, origin: string): void
}

export function signatureBudget(): SignatureBudget {
  let [count, total] = [0, 0]
  function expect(more: number, origin: string): void {
    if (count + more <= mostSignatures) return
    throw tooMuch(`there are more than ${mostSignatures} signatures of one image: ${origin}`)
  }
  return {
    expect,
    spend(bytes, origin) {
      expect(1, origin)
      count += 1
      total += bytes
      if (bytes > largestSignature) throw tooMuch(`the signature ${origin} has more than ${largestSignature} bytes`)
      if (total > mostBytes) throw tooMuch(`the signatures of one image have more than ${mostBytes} bytes: ${origin}`)
    },
  }
}

/** A signature has a few kilobytes. */
const mostBytes = 32 * 1024 * 1024

function tooMuch(message: string): ForerunError {
  return new ForerunError('limit', message, { hint: 'No image needs that much; remove what is not needed.' })
}
