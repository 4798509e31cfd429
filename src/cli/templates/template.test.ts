import { describe, expect, test } from "bun:test";
import { TemplateObject } from "./object.ts";
import { Template } from "./template.ts";

const data = {
  Name: "web",
  Count: 3,
  On: true,
  Off: false,
  None: null,
  List: ["a", "b"],
  Labels: { z: "1", a: "2" },
  State: { Running: true, Deep: { Er: "x" } },
};

const render = (source: string): string => new Template(source).execute(data, { missingKey: "error" });

describe("templates", () => {
  test.each([
    ["plain", "plain"],
    ["{{.Name}} {{ .Count }}", "web 3"],
    ["{{.State.Deep.Er}}", "x"],
    ["a {{- .Name -}} b", "awebb"],
    ["{{/* nothing */}}x", "x"],
    ["{{json .List}} {{json .Name}}", '["a","b"] "web"'],
    ['{{index .Labels "z"}} {{index .List 1}}', "1 b"],
    ["{{range .List}}<{{.}}>{{end}}", "<a><b>"],
    ["{{range $i, $x := .List}}{{$i}}{{$x}}{{end}}", "0a1b"],
    ["{{range $k, $v := .Labels}}{{$k}}={{$v}},{{end}}", "a=2,z=1,"],
    ["{{range .None}}x{{else}}empty{{end}}", "empty"],
    ['{{range .List}}{{if eq . "b"}}{{break}}{{end}}{{.}}{{end}}', "a"],
    ["{{if .On}}yes{{else}}no{{end}}", "yes"],
    ["{{if .Off}}1{{else if .On}}2{{else}}3{{end}}", "2"],
    ["{{if and .On (not .Off)}}x{{end}}", "x"],
    ["{{with .State}}{{.Running}}{{end}}", "true"],
    ["{{with $x := .Name}}{{$x}}{{end}}", "web"],
    ['{{$n := .Name}}{{$n | upper | printf "%s!"}}', "WEB!"],
    ['{{join .List ", "}} {{split "x-y" "-"}}', "a, b [x y]"],
    ['{{printf "%-5s|%3d|%q|%v" .Name .Count .Name .On}}', 'web  |  3|"web"|true'],
    ["{{len .List}} {{len .Name}}", "2 3"],
    ['{{truncate .Name 2}} {{title .Name}} {{lower "ABC"}}', "we Web abc"],
    ["{{.Labels}} {{.List}} {{.None}}", "map[a:2 z:1] [a b] <no value>"],
    ['{{eq .Count 3}} {{ne .Name "x"}} {{lt .Count 5}} {{ge .Count 3}}', "true true true true"],
    ['{{eq .Name "x" "web"}}', "true"],
    ["{{(index .List 0)}}", "a"],
    ['{{define "x"}}<{{.}}>{{end}}{{range .List}}{{template "x" .}}{{end}}', "<a><b>"],
    ['{{block "x" .State}}{{.Running}}{{end}}', "true"],
    ['{{truncate "grün" 3}}{{slice "aübc" 1 3}} {{slice .List 1}}', "gr\ufffdü [b]"],
    ["{{json .Labels}}", '{"a":"2","z":"1"}'],
    ["{{println .Name .Count}}", "web 3\n"],
    ['{{"quoted \\"text\\""}} {{`raw`}}', 'quoted "text" raw'],
  ])("%s", (source, expected) => {
    expect(render(source)).toBe(expected);
  });

  test.each([
    ["{{.Name", "template: :1: unclosed action"],
    ["{{nope}}", 'template: :1: function "nope" not defined'],
    ["{{if .On}}x", "template: :1: unexpected EOF"],
    ["{{end}}", "template: :1: unexpected {{end}}"],
    ["{{.Nope}}", 'template: :1:2: executing "" at <.Nope>: map has no entry for key "Nope"'],
    ["{{.State.Nope}}", 'template: :1:8: executing "" at <.State.Nope>: map has no entry for key "Nope"'],
    ["{{index .List 5}}", "<index .List 5>: error calling index: index out of range: 5"],
    ["{{index .List 2}}", "error calling index: reflect: slice index out of range"],
    ["{{slice .Name 4}}", "error calling slice: index out of range: 4"],
    ["{{.Name.Nope}}", "<.Name.Nope>: can't evaluate field Nope in type interface {}"],
    ["{{call .Name}}", "<call .Name>: error calling call: non-function .Name of type string"],
    ['{{template "x" .Name}}', '<{{template "x" .Name}}>: template "x" not defined'],
    ['{{if .On}}{{define "x"}}{{end}}{{end}}', "template: :1: unexpected <define> in command"],
    ["{{define}}{{end}}", 'template: :1: unexpected "}}" in define clause'],
  ])("%s is refused in Go's words", (source, message) => {
    expect(() => render(source)).toThrow(message);
  });

  test("methods of an object are fields, sorted in JSON, with HTML escaped", () => {
    const row = new TemplateObject("*formatter.Row", {
      Name: () => "<none>",
      Age: () => "1",
      Label: (key) => `label ${key}`,
    });
    expect(new Template('{{.Name}} {{.Label "x"}}').execute(row)).toBe("<none> label x");
    expect(new Template("{{json .}}").execute(row)).toBe('{"Age":"1","Name":"\\u003cnone\\u003e"}');
    expect(() => new Template("{{.Nope}}").execute(row)).toThrow(
      "can't evaluate field Nope in type *formatter.Row",
    );
  });
});
