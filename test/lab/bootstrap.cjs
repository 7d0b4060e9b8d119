#!/usr/bin/env node
'use strict'
// Runs a command of this project with the Node and the packages that it is pinned to, installing them first where they are
// missing or not those of the lock file. Plain JavaScript, since it has to run on whatever Node the machine has.
//
//     node test/lab/bootstrap.cjs node test/lab/demo.ts

const { spawnSync } = require('node:child_process')
const { existsSync, readFileSync } = require('node:fs')
const { constants } = require('node:os')
const { delimiter, join } = require('node:path')

const root = join(__dirname, '../..')
const programs = join(root, 'node_modules/.bin')

if (!installed()) {
  process.stderr.write('lab: installing the npm packages of package-lock.json, Node 24 among them\n')
  run(['npm', 'ci', '--no-audit', '--no-fund'])
}
run(process.argv.slice(2))

/** What npm wrote about the packages that lie in node_modules, against the lock file. */
function installed() {
  const written = join(root, 'node_modules/.package-lock.json')
  if (!existsSync(written) || !existsSync(join(programs, 'node'))) return false
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
  const present = JSON.parse(readFileSync(written, 'utf8')).packages
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    return path === '' || (optional === true && !present[path]) || present[path]?.version === version
  })
}

/** Ends this process too when the command fails. */
function run([program, ...words]) {
  const env = { ...process.env, PATH: `${programs}${delimiter}${process.env.PATH}` }
  // The command gets Ctrl-C from the terminal itself, and cleans up; this process has only to wait for it.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => {})
  const { status, signal, error } = spawnSync(program, words, { cwd: root, env, stdio: 'inherit' })
  if (error) throw error
  if (status !== 0) process.exit(status === null ? 128 + constants.signals[signal] : status)
}
