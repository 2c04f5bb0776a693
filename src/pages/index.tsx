import type { Pages } from './types.ts';

const raw = (title: string, data: unknown): string => `<!doctype html>${(<html><head><title>{title}</title></head><body><h1>{title}</h1><pre>{JSON.stringify(data, null, 2)}</pre></body></html>).toString()}`;

export const pages: Pages = {
  home: (_context, counts) => raw('Corral', counts),
  list: (_context, view) => raw(view.model.resource.plural, view.page),
  thing: (_context, view) => raw(view.model.resource.title, view.row),
  form: (_context, view) => raw(view.model.resource.title, view.values),
  login: () => raw('Log in', {}),
  problem: (_context, problem) => raw(problem.title, problem),
  document: (_context, view) => raw(view.node, view.text),
  docs: (_context, openapi) => raw('API', openapi),
};
