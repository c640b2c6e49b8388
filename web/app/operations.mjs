// Generates src/api/operations.ts from src/graphql/*.graphql: each operation as text, the types of its variables and its result,
// and the scopes that it requires, based on the schema in ../../graph. It fails if an operation does not match the schema.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  buildASTSchema, concatAST, getNamedType, isEnumType, isInputObjectType, isListType, isNonNullType, isObjectType, parse, print,
  TypeInfo, validate, visit, visitWithTypeInfo,
} from "graphql";

const here = import.meta.dirname;
const read = directory => readdirSync(directory).filter(name => /\.graphqls?$/.test(name)).sort().map(name => parse(readFileSync(join(directory, name), "utf8")));

// The server adds @oneOf and @defer itself. The schema's files use the first without declaring it.
const schema = buildASTSchema(concatAST(read(join(here, "../../graph"))), { assumeValidSDL: true });
const document = concatAST(read(join(here, "src/graphql")));
const faults = validate(schema, document);
if (faults.length > 0) {
  console.error(faults.map(String).join("\n\n"));
  process.exit(1);
}

const fragments = new Map(document.definitions.filter(d => d.kind === "FragmentDefinition").map(d => [d.name.value, d]));
const scalars = { ID: "string", String: "string", Boolean: "boolean", Int: "number", Float: "number", Int64: "number", Time: "string", Duration: "string", JSON: "unknown" };
const named = new Map(); // enums and inputs that operations use

const scopeOf = field => field.astNode?.directives?.find(d => d.name.value === "hasScope")?.arguments[0].value.value;

function use(type) {
  if (named.has(type.name) || !(isEnumType(type) || isInputObjectType(type))) return;
  named.set(type.name, "");
  if (isEnumType(type)) {
    named.set(type.name, `export type ${type.name} = ${type.getValues().map(v => JSON.stringify(v.name)).join(" | ")};`);
    return;
  }
  const members = Object.values(type.getFields()).map(f => {
    const needed = isNonNullType(f.type) && f.defaultValue === undefined;
    return `  ${f.name}${needed ? "" : "?"}: ${typeOf(f.type)};`;
  });
  named.set(type.name, `export interface ${type.name} {\n${members.join("\n")}\n}`);
}

function typeOf(type, selection) {
  if (isNonNullType(type)) return bare(type.ofType, selection);
  return `${bare(type, selection)} | null`;
}

function bare(type, selection) {
  if (isListType(type)) {
    const item = typeOf(type.ofType, selection);
    return item.includes(" ") ? `(${item})[]` : `${item}[]`;
  }
  if (isObjectType(type)) return shape(type, selection);
  use(type);
  return scalars[type.name] ?? type.name;
}

/** Returns the type of a selection's result: a named fragment by its name, fields as members. */
function shape(type, selection) {
  const spreads = [], members = [];
  for (const s of selection.selections) {
    if (s.kind === "FragmentSpread") {
      spreads.push(s.name.value);
      continue;
    }
    const conditional = s.directives?.some(d => d.name.value === "include" || d.name.value === "skip");
    const answer = s.name.value === "__typename" ? "string" : typeOf(type.getFields()[s.name.value].type, s.selectionSet);
    members.push(`${s.alias?.value ?? s.name.value}${conditional ? "?" : ""}: ${answer}`);
  }
  const own = members.length > 0 ? [`{ ${members.join("; ")} }`] : [];
  return [...spreads, ...own].join(" & ");
}

function usedFragments(node, found = new Set()) {
  visit(node, {
    FragmentSpread(s) {
      if (found.has(s.name.value)) return;
      found.add(s.name.value);
      usedFragments(fragments.get(s.name.value), found);
    },
  });
  return found;
}

/** Returns the scopes without which the operation fails: those of its unconditional fields. */
function neededScopes(parts) {
  const info = new TypeInfo(schema), scopes = new Set();
  for (const part of parts) {
    visit(part, visitWithTypeInfo(info, {
      Field(f) {
        if (f.directives?.length > 0) return false;
        const scope = info.getFieldDef() && scopeOf(info.getFieldDef());
        if (scope) scopes.add(scope);
        return undefined;
      },
    }));
  }
  return [...scopes].sort();
}

const compact = node => print(node).replace(/\s+/g, " ").trim();
const out = [];
for (const fragment of fragments.values()) {
  const type = schema.getType(fragment.typeCondition.name.value);
  out.push(`export type ${fragment.name.value} = ${shape(type, fragment.selectionSet)};`);
}
for (const op of document.definitions.filter(d => d.kind === "OperationDefinition")) {
  const name = op.name.value, root = schema.getRootType(op.operation);
  const parts = [op, ...[...usedFragments(op)].map(f => fragments.get(f))];
  const variables = op.variableDefinitions.map(v => {
    const type = typeFromNode(v.type);
    return `${v.variable.name.value}${isNonNullType(type) && !v.defaultValue ? "" : "?"}: ${typeOf(type)}`;
  });
  out.push(
    `export type ${name}Data = ${shape(root, op.selectionSet)};`,
    `export type ${name}Variables = ${variables.length > 0 ? `{ ${variables.join("; ")} }` : "Record<string, never>"};`,
    `export const ${name}: Operation<${name}Data, ${name}Variables> = {\n  name: ${JSON.stringify(name)},\n  scopes: ${JSON.stringify(neededScopes(parts))},\n  text: ${JSON.stringify(parts.map(compact).join(" "))},\n};`);
}

function typeFromNode(node) {
  const ast = parse(`query Q($v: ${print(node)}) { __typename }`).definitions[0].variableDefinitions[0];
  let found;
  const info = new TypeInfo(schema);
  visit(ast, visitWithTypeInfo(info, { VariableDefinition: { enter() { found = info.getInputType(); } } }));
  if (getNamedType(found)) use(getNamedType(found));
  return found;
}

use(schema.getType("Scope"));
writeFileSync(join(here, "src/api/operations.ts"), `// Code generated by operations.mjs. DO NOT EDIT.

/** The text of an operation, with the types of its variables and its result. */
export interface Operation<Data, Variables> {
  readonly name: string;
  /** The scopes that the caller's key must have. */
  readonly scopes: readonly Scope[];
  readonly text: string;
  /** Never set: it ties the types to the operation. */
  readonly types?: (variables: Variables) => Data;
}

${[...named.values()].join("\n\n")}

${out.join("\n\n")}
`);
