// Checks the parameters of an address. A view whose address has a fault selects nothing: ignored, a filter with a typing error would
// match everything. Pure functions.

/** Reports a parameter that the view doesn't know or that occurs twice, or returns an empty text. */
export function unknown(query: URLSearchParams, ...known: readonly string[]): string {
  const names = [...query.keys()], stray = names.find(name => !known.includes(name));
  if (stray !== undefined) return `The address has an unknown filter, “${stray}”.`;
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  return twice === undefined ? "" : `The address has the filter “${twice}” more than once.`;
}

/** Reports a parameter that has none of its values, or returns an empty text. */
export function unlisted(query: URLSearchParams, name: string, values: readonly string[]): string {
  const value = query.get(name) ?? "";
  return value === "" || values.includes(value) ? "" : `“${value}” is not a value of ${name}; use ${values.join(" or ")}.`;
}
