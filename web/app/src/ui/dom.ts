// The DOM as plain values: views describe their content, and patch changes only the differences. Text is always text, never
// markup. Typed text, selections, and scroll positions are preserved.

export type Child = VNode | string | number | null | undefined | false | readonly Child[];
type Handler = (event: never) => void;
type Value = string | number | boolean | null | undefined | Handler | Record<string, string>;

/** Attributes by name. onX adds a listener, value and checked are set only when they change, and style sets CSS properties. */
export interface Props { key?: string | number; ref?: (node: HTMLElement) => void; [name: string]: Value }

export interface VNode {
  readonly tag: string;
  readonly props: Props;
  readonly children: readonly (VNode | string)[];
  node?: Element;
}

export function h(tag: string, props?: Props | null, ...children: Child[]): VNode {
  const flat: (VNode | string)[] = [];
  flatten(children, flat);
  return { tag, props: props ?? {}, children: flat };
}

function flatten(children: readonly Child[], into: (VNode | string)[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false || child === "") continue;
    if (Array.isArray(child)) flatten(child as readonly Child[], into);
    // Adjacent texts are one node, as in the browser.
    else if (typeof child === "object") into.push(child as VNode);
    else if (typeof into.at(-1) === "string") into[into.length - 1] += String(child);
    else into.push(String(child));
  }
}

const svgSpace = "http://www.w3.org/2000/svg";
const handlers = new WeakMap<Element, Map<string, Handler>>();

function dispatch(this: Element, event: Event): void {
  (handlers.get(this)?.get(event.type) as ((event: Event) => void) | undefined)?.(event);
}

function create(vnode: VNode | string, parent: Element): Node {
  if (typeof vnode === "string") return document.createTextNode(vnode);
  const svg = vnode.tag === "svg" || (parent.namespaceURI === svgSpace && parent.tagName !== "foreignObject");
  const node = svg ? document.createElementNS(svgSpace, vnode.tag) : document.createElement(vnode.tag);
  vnode.node = node;
  patchChildren(node, [], vnode.children);
  for (const [name, value] of Object.entries(vnode.props)) setProp(node, name, undefined, value); // a select's value requires its options
  return node;
}

function setProp(node: Element, name: string, before: Value, value: Value): void {
  if (name === "key" || name === "ref" || before === value) return;
  if (typeof value === "function" || typeof before === "function") {
    const type = name.slice(2);
    let own = handlers.get(node);
    if (!own) handlers.set(node, own = new Map());
    if (!own.has(type)) node.addEventListener(type, dispatch);
    if (typeof value === "function") own.set(type, value);
    else own.delete(type);
  } else if (name === "value" || name === "checked" || name === "indeterminate") {
    (node as unknown as Record<string, Value>)[name] = value ?? (name === "value" ? "" : false);
  } else if (name === "style") {
    const { style } = node as HTMLElement, next = (value ?? {}) as Record<string, string>, last = (before ?? {}) as Record<string, string>;
    for (const property of Object.keys(last)) if (!(property in next)) style.removeProperty(property);
    for (const [property, text] of Object.entries(next)) if (last[property] !== text) style.setProperty(property, text);
  } else if (value === null || value === undefined || value === false) {
    node.removeAttribute(name);
  } else {
    node.setAttribute(name, value === true ? "" : String(value));
  }
}

const keyOf = (vnode: VNode | string): string =>
  typeof vnode === "string" ? "#text" : `${vnode.tag}\u0000${vnode.props.key ?? ""}`;

/** Updates the children of parent from old to next. Nodes are reused for children with the same tag and key. */
export function patchChildren(parent: Element, old: readonly (VNode | string)[], next: readonly (VNode | string)[]): void {
  const nodes = [...parent.childNodes];
  if (nodes.length !== old.length) { // something else changed the DOM, such as a translator: start again
    parent.replaceChildren();
    [old, nodes.length] = [[], 0];
  }
  const left = new Map<string, number[]>();
  old.forEach((vnode, i) => {
    const key = keyOf(vnode), same = left.get(key);
    if (same) same.push(i);
    else left.set(key, [i]);
  });
  const kept = next.map(vnode => left.get(keyOf(vnode))?.shift() ?? -1);
  for (const indices of left.values()) for (const i of indices) nodes[i]!.remove();
  let at: ChildNode | null = parent.firstChild;
  next.forEach((vnode, i) => {
    const from = kept[i]!;
    if (from < 0) {
      const made = create(vnode, parent);
      parent.insertBefore(made, at);
      if (typeof vnode !== "string") vnode.props.ref?.(made as HTMLElement);
      return;
    }
    const node = nodes[from]!;
    if (node === at) at = node.nextSibling;
    else parent.insertBefore(node, at);
    if (typeof vnode === "string") {
      if (node.nodeValue !== vnode) node.nodeValue = vnode;
    } else {
      patch(node as Element, old[from] as VNode, vnode);
    }
  });
}

function patch(node: Element, old: VNode, next: VNode): void {
  next.node = node;
  if (old === next) return;
  patchChildren(node, old.children, next.children);
  for (const name of Object.keys(old.props)) if (!(name in next.props)) setProp(node, name, old.props[name], undefined);
  for (const [name, value] of Object.entries(next.props)) setProp(node, name, old.props[name], value);
  // Options may have been added after the value that selects one of them.
  if (next.tag === "select" && typeof next.props.value === "string") {
    const select = node as HTMLSelectElement;
    if (select.value !== next.props.value) select.value = next.props.value;
  }
}
