/* The right symbol, but it is code. */
int pudle_plugin(void);
int pudle_plugin(void)
{
    return 1;
}
