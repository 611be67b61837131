// Compiled once for the header that the tests share (TUTTI_UNITY).
int main() {}
