import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { ForerunError } from '../../../src/errors.ts'
import { deploymentPrivileges } from '../../../src/operations/containers/deployment-privileges.ts'
import type { Deployment, DeploymentInfo } from '../../../src/store/deployment.ts'
import { deploymentInfo } from '../../store/deployment-info.ts'

const containers = mkdtempSync(join(tmpdir(), 'forerun-privileges-'))
after(() => rmSync(containers, { recursive: true }))

function deployed(slot: number, info: Partial<DeploymentInfo['forerun']> = {}): Deployment {
  const folder = join(containers, `app.${slot}`)
  mkdirSync(folder, { recursive: true })
  const configuration = {
    ociVersion: '1.0.2',
    process: { cwd: '/', args: ['app'] },
    // As with --rootfs.
    root: { path: '/srv/tree' },
    mounts: [{ destination: '/x', type: 'bind', source: `${folder}/x`, options: ['bind'] }],
    linux: { cgroupsPath: '/system.slice/app.service/payload' },
  }
  writeFileSync(join(folder, 'config.json'), JSON.stringify(configuration))
  const lines = [`WorkingDirectory=${folder}`, 'ExecStart=/usr/bin/runc run app', `ExecStop=/bin/a ${folder} hush mine`]
  writeFileSync(join(folder, 'app.service'), `[Service]\n${lines.join('\n')}\n`)
  writeFileSync(join(folder, 'tmpfiles-app.conf'), 'R /srv/x\n')
  const values = { WORD: 'hush', MINE: 'mine' }
  const forerun = { secrets: ['WORD', 'MINE'], set: ['WORD'], ...info }
  return { name: 'app', folder, info: deploymentInfo({ values, forerun }) }
}

test('a deployment has the same privileges in both slots; no secret of the user is told, those of the image are', () => {
  const privileges = deploymentPrivileges(deployed(0))
  assert.deepEqual(privileges, deploymentPrivileges(deployed(1)))
  const powers = privileges.filter(({ weight, kind }) => weight === 'power' && kind !== 'namespace')
  assert.deepEqual(
    powers.map(({ key }) => key),
    [`bind rw alone ${containers}/app/x`, `ExecStop root /bin/a ${containers}/app (secret WORD) mine`, 'R /srv/x'],
  )
})

test('one of host files only has none', () => {
  const { info, ...rest } = deployed(0)
  assert.deepEqual(deploymentPrivileges({ ...rest, info: { ...info, 'has-container-service': false } }), [])
})

test('a damaged one is told', () => {
  const deployment = deployed(0)
  writeFileSync(join(deployment.folder, 'config.json'), '{ "root": 1 }')
  assert.throws(
    () => deploymentPrivileges(deployment),
    (error: ForerunError) => error.code === 'configuration',
  )
  rmSync(join(deployment.folder, 'config.json'))
  assert.throws(
    () => deploymentPrivileges(deployment),
    (error: ForerunError) => error.code === 'store',
  )
})
