#!/usr/bin/gjs -m
// An agent in JavaScript: tells how much memory is free, and says so when it becomes little.
// Run it in a session: gjs -m examples/memory_agent.js
import GLib from 'gi://GLib';
import {Agent, CommandError} from './gnome-shell-extension/agent.js';

const LITTLE = Number(ARGV[0] ?? 256 * 1024 * 1024);
const EVERY_SECONDS = 30;

function available() {
    const [, text] = GLib.file_get_contents('/proc/meminfo');
    const found = /^MemAvailable: +([0-9]+) kB$/m.exec(new TextDecoder().decode(text));
    if (!found)
        throw new CommandError('the kernel does not tell how much memory is available');
    return Number(found[1]) * 1024;
}

const LOW = '__org.example_MEMORY_LOW';
const agent = new Agent({
    name: 'org.example.memory',
    version: '1.0',
    path: '/org/example/Memory',
    commands: {
        '__org.example_memory': {
            schema: {data: {}, returns: 'int', doc: 'Tell how many bytes of memory are available.'},
            run: available,
        },
    },
    events: {[LOW]: {data: {available: 'int'}, doc: 'Little memory is left.'}},
    wantedChanged,
});

let timer = 0;
let low = false;

// Nobody looks while no host wants to know.
function wantedChanged() {
    if (agent.wanted(LOW) && !timer) {
        timer = GLib.timeout_add_seconds(GLib.PRIORITY_LOW, EVERY_SECONDS, look);
        look();
    } else if (!agent.wanted(LOW) && timer) {
        GLib.source_remove(timer);
        timer = 0;
    }
}

function look() {
    const bytes = available();
    if (bytes < LITTLE && !low)
        agent.emit(LOW, {available: bytes});
    low = bytes < LITTLE;
    return GLib.SOURCE_CONTINUE;
}

agent.start();
new GLib.MainLoop(null, false).run();
