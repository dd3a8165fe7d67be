"""Kakao Talk by Kakao's own REST API: memos to oneself and messages to friends (docs/kakao.md).

Source of every fact: developers.kakao.com, kakaotalk-message/rest-api, kakaologin/rest-api,
rest-api/error-code, getting-started/quota. There is neither an idempotency key nor a look-up: a message
is accepted, refused or unknown.
"""
