import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { isStillInUse, readDeployment, surveyDeployment } from '../../src/store/deployment.ts'
import { deploymentInfo } from './deployment-info.ts'
import { scratch } from './scratch.ts'

const info = deploymentInfo()

/** Installs a container and removes it again, as transactions do, until it is told to stop. */
const coming = `
const { workerData, parentPort } = require('node:worker_threads')
const fs = require('node:fs')
const { folder, info, stop } = workerData
let slot = 0
while (Atomics.load(stop, 0) === 0) {
  const place = folder + '/app.' + slot
  fs.mkdirSync(folder + '/.forerun-new')
  fs.writeFileSync(folder + '/.forerun-new/info', info)
  fs.renameSync(folder + '/.forerun-new', place)
  fs.symlinkSync('app.' + slot, folder + '/app')
  fs.unlinkSync(folder + '/app')
  fs.renameSync(place, folder + '/.forerun-old')
  fs.rmSync(folder + '/.forerun-old', { recursive: true })
  slot = 1 - slot
}
parentPort.postMessage('done')
`

test('a container that comes and goes meanwhile is read whole or not at all, and never called damaged', async () => {
  using folder = scratch()
  const stop = new Int32Array(new SharedArrayBuffer(4))
  const workerData = { folder: folder.path, info: JSON.stringify(info), stop }
  const worker = new Worker(coming, { eval: true, workerData })
  await once(worker, 'online')
  let whole = 0
  for (let end = performance.now() + 1_000; performance.now() < end || whole === 0; ) {
    const found = readDeployment(folder.path, 'app')
    if (found === undefined) continue
    whole++
    assert.deepEqual(found.info, info)
    isStillInUse(folder.path, found)
  }
  Atomics.store(stop, 0, 1)
  await once(worker, 'message')
})

function link(path: string, target: string): void {
  rmSync(path, { force: true })
  symlinkSync(target, path)
}

test('a deployment that cannot be read is damaged while its link stays, and is not in use any more when another one is', () => {
  using folder = scratch()
  const at = (name: string): string => join(folder.path, name)
  mkdirSync(at('app.0'))
  writeFileSync(at('app.0/info'), JSON.stringify(info))
  link(at('app'), 'app.0')
  const found = readDeployment(folder.path, 'app')
  assert.ok(found !== undefined && isStillInUse(folder.path, found))
  mkdirSync(at('app.1'))
  link(at('app'), 'app.1')
  assert.equal(isStillInUse(folder.path, found), false)
  const damaged = surveyDeployment(folder.path, 'app')
  assert.ok(damaged !== undefined && 'problem' in damaged && damaged.problem.code === 'store')
})
