"""Where a row's text ends: end tokens, and stop strings looked for as the text grows."""

from typing import Any


def stop_tokens(tokenizer: Any, stop: tuple[str, ...]) -> tuple[set[int], list[str]]:
    """Splits `stop` into ids of special tokens, which never show in decoded text, and strings to look for in it."""
    special = {tokenizer.decode([i], skip_special_tokens=False): i for i in tokenizer.all_special_ids}
    special |= {str(token): i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    ids = {special[text] for text in stop if text in special}
    return ids, [text for text in stop if text and text not in special]


class TextWatcher:
    """Decodes a growing row token by token, and finds the first stop string."""

    def __init__(self, tokenizer: Any, stops: list[str]) -> None:
        self._tokenizer = tokenizer
        self._stops = stops
        self._tokens: list[int] = []
        self._decoded_from = 0  # the window that is decoded starts here: a few tokens back, for their context
        self._shown = 0  # tokens whose text is in `text`
        self.text = ""
        self.stopped = False

    def push(self, token: int) -> bool:
        """Adds a token. Returns whether a stop string is complete now; `text` is then cut before it."""
        self._tokens.append(token)
        decode = self._tokenizer.decode
        before = decode(self._tokens[self._decoded_from : self._shown], skip_special_tokens=True)
        now = decode(self._tokens[self._decoded_from :], skip_special_tokens=True)
        if now.endswith("\ufffd") or len(now) <= len(before):
            return False  # inside a character of several bytes, or a token without text
        searched = max(0, len(self.text) - max(map(len, self._stops)) + 1)
        self.text += now[len(before) :]
        self._decoded_from, self._shown = self._shown, len(self._tokens)
        found = [position for stop in self._stops if (position := self.text.find(stop, searched)) >= 0]
        if found:
            self.text, self.stopped = self.text[: min(found)], True
        return self.stopped
