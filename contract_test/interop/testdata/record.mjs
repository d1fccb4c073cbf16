// Tells which members of a client the cases call. A class is wrapped from
// without: its files stay as they were installed, and it does what it did.
// Only calls out of these files count, not those among the client's own.
const here = new URL(".", import.meta.url).href;
const known = new Set();
let seen = new Set();

// What was called, constructed or caught since the last time.
export function taken() {
  const names = [...seen].sort();
  seen = new Set();
  return names;
}

export const members = () => [...known].sort();

function called(...names) {
  const caller = new Error().stack.split("\n")[3] ?? "";
  if (!caller.includes(here) || caller.includes("/node_modules/")) return;
  for (const name of names) seen.add(name);
}

// The exports of a client, wrapped.
export function record(exports) {
  const wrapped = {};
  for (const [name, value] of Object.entries(exports)) {
    wrapped[name] = typeof value === "function" ? wrap(name, value) : value;
  }
  return wrapped;
}

function wrap(name, value) {
  known.add(name);
  if (!/^class\b/.test(Function.prototype.toString.call(value))) {
    return function (...args) {
      called(name);
      return value.apply(this, args);
    };
  }
  if (!(value.prototype instanceof Error)) recordClass(name, value);
  return new Proxy(value, {
    construct(target, args, newTarget) {
      called(name);
      return Reflect.construct(target, args, newTarget === this ? target : newTarget);
    },
    get(target, key) {
      if (key !== Symbol.hasInstance) return Reflect.get(target, key);
      return (instance) => {
        const is = instance instanceof target;
        if (is) seen.add(name);
        return is;
      };
    },
  });
}

// Wraps what a class offers: methods, getters, and what for await calls.
export function recordClass(name, type) {
  known.add(name);
  for (const [owner, prefix] of [[type.prototype, `${name}.`], [type, `${name}.static `]]) {
    for (const key of Reflect.ownKeys(owner)) {
      const property = Object.getOwnPropertyDescriptor(owner, key);
      const what = property.get ? "get" : "value";
      if (typeof property[what] !== "function" || !property.configurable) continue;
      const label = typeof key === "symbol" ? `[${key.description}]` : key;
      if (label === "constructor" || label.startsWith("_")) continue;
      if (owner === type && /^class\b/.test(Function.prototype.toString.call(property.value))) continue;
      const member = prefix + label;
      known.add(member);
      const call = property[what];
      property[what] = function (...args) {
        called(name, member);
        return call.apply(this, args);
      };
      Object.defineProperty(owner, key, property);
    }
  }
}
