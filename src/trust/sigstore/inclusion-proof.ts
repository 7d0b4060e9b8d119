import { createHash, type KeyObject, verify } from 'node:crypto'
import { SignatureFault } from '../signature-fault.ts'
import { decodeBase64 } from './base64.ts'
import { keyDer } from './public-key.ts'

/** That an entry is in a Merkle tree (RFC 9162, section 2.1.3), and the log's word for the tree. */
export interface InclusionProof {
  /** In this tree; a log of several has another number for the whole. */
  readonly index: number
  readonly treeSize: number
  /** From the leaf to the root. */
  readonly hashes: readonly Buffer[]
  readonly rootHash: Buffer
  /**
   * A signed note: origin, size and root hash on a line each, an empty line, signatures. undefined: nobody vouches for the tree, and the
   * proof alone proves nothing.
   */
  readonly checkpoint: string | undefined
}

/** @throws SignatureFault when the proof does not hold, or there is a checkpoint which none of the keys has signed. */
export function checkInclusion(body: Buffer, proof: InclusionProof, logKeys: readonly KeyObject[]): void {
  const { treeSize, checkpoint } = proof
  const tree = checkpoint === undefined ? { size: treeSize, root: proof.rootHash } : signedTree(checkpoint, logKeys)
  const computed = rootHash(hash(Buffer.of(0), body), proof)
  if (tree.size !== treeSize || computed === undefined || !computed.equals(tree.root)) {
    throw new SignatureFault('has an entry that is not in the transparency log')
  }
}

/** RFC 9162, section 2.1.3.2. undefined: the proof has the wrong length. */
function rootHash(leaf: Buffer, { index, treeSize, hashes }: InclusionProof): Buffer | undefined {
  if (index >= treeSize || hashes.length > mostHashes) return undefined
  let [position, last, node] = [BigInt(index), BigInt(treeSize) - 1n, leaf]
  for (const sibling of hashes) {
    if (last === 0n) return undefined
    if (position % 2n === 1n || position === last) {
      node = hash(Buffer.of(1), sibling, node)
      while (position % 2n === 0n && position !== 0n) [position, last] = [position / 2n, last / 2n]
    } else {
      node = hash(Buffer.of(1), node, sibling)
    }
    ;[position, last] = [position / 2n, last / 2n]
  }
  return last === 0n ? node : undefined
}

/** A tree of 2^64 leaves needs no more. */
const mostHashes = 64

function hash(...parts: readonly Buffer[]): Buffer {
  const running = createHash('sha256')
  for (const part of parts) running.update(part)
  return running.digest()
}

/** The note's text ends with the line feed before the empty line; a signature begins with four bytes of its key's digest. */
function signedTree(checkpoint: string, logKeys: readonly KeyObject[]): { size: number; root: Buffer } {
  const end = checkpoint.indexOf('\n\n')
  const text = checkpoint.slice(0, end + 1)
  const signatures = checkpoint
    .slice(end + 2)
    .split('\n')
    .slice(0, mostSignatures)
  const isSigned = signatures.some((line) => {
    const signature = decodeBase64(/^\u2014 \S+ (\S+)$/.exec(line)?.[1] ?? '') ?? Buffer.alloc(0)
    return logKeys.some((key) => isNoteSignedBy(key, text, signature))
  })
  if (end < 0 || !isSigned) {
    throw new SignatureFault(
      "has a checkpoint of a transparency log that is not signed by the policy's key (rekorPublicKey)",
    )
  }
  const [, size = '', root = ''] = text.split('\n')
  const hashed = decodeBase64(root)
  if (!/^\d{1,15}$/.test(size) || hashed?.length !== 32) {
    throw new SignatureFault('has a malformed checkpoint of a transparency log')
  }
  return { size: Number(size), root: hashed }
}

const mostSignatures = 16

function isNoteSignedBy(key: KeyObject, text: string, signature: Buffer): boolean {
  const hint = hash(keyDer(key)).subarray(0, 4)
  return hint.equals(signature.subarray(0, 4)) && verify('sha256', Buffer.from(text), key, signature.subarray(4))
}
