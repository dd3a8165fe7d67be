"""The Iris room bot: KakaoTalk on an Android device, reached over HTTP (docs/iris.md)."""
