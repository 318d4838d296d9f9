// The texts of notices: each language has each kind, and says the same facts.

import { expect, test } from "vitest";
import { noticeTexts, parseNoticeTexts, placeholders } from "../../src/config/notice-texts.ts";
import { noticeKinds } from "../../src/notices/notice.ts";

const namesIn = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).toSorted();

test.each(["en", "de"] as const)(
  "%s has a text for each kind, and names facts that there are",
  (language) => {
    expect(Object.keys(noticeTexts[language]).toSorted()).toEqual(noticeKinds.toSorted());
    for (const { subject, text } of Object.values(noticeTexts[language])) {
      expect(subject.trim()).not.toBe("");
      expect(placeholders).toEqual(expect.arrayContaining(namesIn(subject + text)));
    }
  },
);

test.each(noticeKinds)("%s says in German what it says in English", (kind) => {
  const { en, de } = noticeTexts;
  const facts = (texts: typeof en) => [...new Set(namesIn(`${texts[kind]?.subject}${texts[kind]?.text}`))];
  expect(facts(de)).toEqual(facts(en));
  expect(de[kind]?.text).not.toBe(en[kind]?.text);
});

test.each([
  ["enrolled: {subject: a}", "wants subject and text in enrolled"],
  ["enrolled: {text: a}", "wants subject and text in enrolled"],
  ["enrolled: a", "wants subject and text in enrolled"],
  ["enrolled: {subject: a, text: b, html: c}", "wants subject and text in enrolled"],
  ["enrolled: {subject: '', text: b}", "has no one-line subject in enrolled"],
  ['enrolled: {subject: "a\\nBcc: b", text: b}', "has no one-line subject in enrolled"],
  ["enrolled: {subject: a, text: '{password}'}", "has {password}, which stands for nothing in enrolled"],
  ["enrolment: {subject: a, text: b}", 'has a text for "enrolment", which is no kind of notice'],
  ["- a", "has no mapping of kinds to texts"],
  ["a: [", "is not YAML"],
])("of an own file, %s is told as what is wrong", (text, wrong) => {
  expect(parseNoticeTexts(text)).toEqual({ wrong });
});

test("an own file says some kinds in its words", () => {
  const text = 'enrolled: {subject: "Hi {username}", text: "Since {at}"}';
  expect(parseNoticeTexts(text)).toEqual({
    texts: { enrolled: { subject: "Hi {username}", text: "Since {at}" } },
  });
});
